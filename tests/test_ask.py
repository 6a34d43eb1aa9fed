"""`edged ask` and `edged eval`, as a person runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.broker import Mosquitto
from tests.daemon_fixture import ROOT, Daemon


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
    return run("eval", "--json")


@pytest.mark.model
def test_eval_scores_every_template_on_both_sets(
    evaluated: subprocess.CompletedProcess[str],
) -> None:
    report = json.loads(evaluated.stdout)
    sizes = {
        name: (scores["held_out"]["n"], scores["hand_written"]["n"])
        for name, scores in report["templates"].items()
    }
    assert len(sizes) >= 5
    assert sum(hand_written for _, hand_written in sizes.values()) >= 120
    assert all(held_out >= 100 for held_out, _ in sizes.values())


@pytest.mark.model
def test_eval_of_a_good_model_has_nothing_to_warn_of(
    evaluated: subprocess.CompletedProcess[str],
) -> None:
    assert evaluated.stderr == ""
