"""`edged ask` and `edged eval`, as a person runs them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import Mosquitto
from tests.daemon_fixtures import ROOT, Daemon
from tests.engine_fixtures import write_config


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with (
        Mosquitto(tmp_path_factory.mktemp("broker")) as broker,
        Daemon(tmp_path_factory.mktemp("daemon"), broker) as running,
    ):
        running.wait_for_log("is resident")
        running.wait_for_log("connected to the broker")
        yield running


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `edged` to its end."""
    command = [sys.executable, "-m", "edged", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.broker
def test_ask_prints_the_answer_alone_on_stdout(daemon: Daemon) -> None:
    asked = run("ask", "--config", str(daemon.config), "--template", "dock-event", "door 4")
    assert set(json.loads(asked.stdout)) > {"event", "dock"}


@pytest.mark.broker
def test_ask_shows_chunks_usage_seconds_and_joules(daemon: Daemon) -> None:
    asked = run("ask", "--config", str(daemon.config), "--template", "dock-event", "door 4")
    words = ("accepted", '"event"', "prompt tokens", " s (", "J above idle (estimated)")
    assert [word for word in words if word not in asked.stderr] == []


@pytest.mark.broker
def test_ask_takes_several_variables_as_an_object(daemon: Daemon) -> None:
    text = json.dumps({"table": [["K204", "A07", 40]], "question": "where is K204"})
    asked = run("ask", "--config", str(daemon.config), "--template", "stock-question", text)
    assert asked.returncode == 0


@pytest.mark.broker
def test_a_refused_question_exits_1_and_says_why(daemon: Daemon) -> None:
    asked = run("ask", "--config", str(daemon.config), "--template", "nope", "x")
    assert (asked.returncode, "unknown_template" in asked.stdout) == (1, True)


@pytest.mark.broker
def test_ask_speaks_json_to_machines(daemon: Daemon) -> None:
    asked = run("ask", "--json", "--config", str(daemon.config), "hello")
    assert json.loads(asked.stdout)["event"] == "done"


@pytest.fixture(scope="module")
def evaluated() -> subprocess.CompletedProcess[str]:
    return run("eval", "--wire", "json", "--json")


@pytest.mark.slow
@pytest.mark.model
def test_eval_scores_every_template_on_both_sets(
    evaluated: subprocess.CompletedProcess[str],
) -> None:
    report = json.loads(evaluated.stdout)
    scores = [forms["json"] for forms in report["templates"].values()]
    assert len(scores) >= 5
    assert sum(score["hand_written"]["n"] for score in scores) >= 120
    assert all(score["held_out"]["n"] >= 100 for score in scores)


@pytest.mark.slow
@pytest.mark.model
def test_eval_of_a_good_model_has_nothing_to_warn_of(
    evaluated: subprocess.CompletedProcess[str],
) -> None:
    assert evaluated.stderr == ""


@pytest.mark.model
def test_eval_compares_both_forms_unless_told_otherwise(tmp_path: Path) -> None:
    shipped = ROOT / "edged/models/dock-mini"
    (tmp_path / "templates").mkdir()
    (tmp_path / "eval/held_out").mkdir(parents=True)
    shutil.copy(shipped / "templates/dock-event.toml", tmp_path / "templates")
    rows = (shipped / "eval/held_out/dock-event.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "eval/held_out/dock-event.jsonl").write_text("".join(rows[:4]))
    config = write_config(tmp_path, model={"templates_dir": str(tmp_path / "templates")})
    report = json.loads(run("eval", "--json", "--config", str(config)).stdout)
    forms = report["templates"]["dock-event"]
    assert [(wire, scores["held_out"]["n"]) for wire, scores in forms.items()] == [
        ("json", 4),
        ("compact", 4),
    ]
    for scores in forms.values():
        found = scores["held_out"]
        assert 0 < found["forced_share"] < 1
        assert found["kv_tokens"] > found["output_tokens"] > 0
