"""A board's figures and replies for the metrics' tests, and promtool where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from edged.answers import Answers, Run
from edged.contract import REASONS, Reply
from edged.diary import Diary
from edged.engine.frames import Outcome, Prompt
from edged.errors import Refusal
from edged.metrics import BoardCollector, Figures, Metrics
from edged.power.account import Joules
from edged.spool.rows import Job, Letter, Row, Settlement
from tests.prompt_fixtures import row

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool, of Debian's prometheus, is not installed"
)
ANSWERS = Answers("edge-1")
STATE: dict[str, Any] = {
    "version": "0.1.0",
    "engine": {"phase": "ready", "problem": None},
    "model": {"name": "dock-mini", "digest": "sha256:0"},
    "limits": {"queue": 10_000},
    "queue": {"queued": 3, "running": 2},
    "spool": {"problem": None},
    "power": {
        "limit_w": 4.0, "state": "throttled", "mean_w": 3.9, "source": "metered",
        "error_share": 0.02,
    },
    "temperature_c": 61.0,
    "unanswerable": 1,
}  # fmt: skip


def figures(counter_j: float = 0.0, idle_j: float = 0.0, **state: Any) -> Figures:
    """Return what a board shows whose joules are so many."""
    return Figures(STATE | state, Joules(overhead_j=counter_j - idle_j, idle_j=idle_j), True)


def answered(client: str = "c1", source: str = "metered", **outcome: Any) -> tuple[Row, Settlement]:
    """Return a row and its outcome: 9 prompt tokens, 8 of them cached, 3 of output, 1 forced."""
    one = row(1, client=client)
    run = Run(one, Job(Prompt(payload="x")), 0.5, 2.25, source, True, None, ("m", "sha256:0"))
    given: dict[str, Any] = {
        "finish": "stop", "text": "four", "prompt_tokens": 9, "cached_tokens": 8,
        "output_tokens": 3, "forced_tokens": 1, "ttft_s": 0.25, "total_s": 1.25,
    }  # fmt: skip
    return one, ANSWERS.outcome(run, Outcome(id="1", **(given | outcome)), None)


def busy_registry() -> CollectorRegistry:
    """Return the registry of a board on which everything has happened once."""
    metrics = Metrics()
    metrics.registry.register(BoardCollector(figures, Joules()))
    diary = Diary(metrics)
    one, settlement = answered()
    diary.accepted(one, "t1")
    for reason in REASONS:
        diary.refused("c1", "p1", Refusal(reason, "why"))
    diary.requeued(one, "why")
    diary.ended(one, settlement)
    diary.ended(*answered(finish="failed", reason="engine_failed", detail="why"))
    for event in ("expired", "cancelled"):
        diary.ended(one, ANSWERS.unstarted(one, event, 1.0))
    diary.ended(one, ANSWERS.superseded(one))
    diary.delivered(Letter(1, "c1", "p1", settlement, one.destination, 0.0), claimed=True)
    return metrics.registry


def families(registry: CollectorRegistry) -> dict[str, tuple[str, frozenset[str]]]:
    """Return type and labels of each family."""
    return {
        family.name: (
            family.type,
            frozenset(label for sample in family.samples for label in sample.labels) - {"le"},
        )
        for family in registry.collect()
    }


def series(registry: CollectorRegistry) -> set[str]:
    """Return the names that PromQL can ask for."""
    return {sample.name for family in registry.collect() for sample in family.samples}


def reply(settlement: Settlement) -> Reply:
    """Return what an outcome says."""
    return Reply.model_validate_json(settlement.body)


def promtool(*words: str, given: str | None = None) -> str:
    """Return what promtool has to say, which is nothing bad.

    Raises:
        AssertionError: it finds something, which the error shows.
    """
    command = ["promtool", *words]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def write_yaml(path: Path, value: object) -> Path:
    """Write YAML, of which JSON is a part."""
    path.write_text(json.dumps(value), encoding="utf-8")
    return path
