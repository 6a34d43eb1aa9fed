"""The demo judges answers by itself, refuses a taken port, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.broker import free_port
from tools.broker import HOST, is_port_free
from tools.broker_programs import Programs
from tools.demo_board import DemoError, set_key
from tools.demo_report import WIDTH, Verdict, describe, has_failed, judge, summary
from tools.demo_run import MODEL, client, parse_arguments, pick_rows, read_schema

ROOT = Path(__file__).parent.parent
LINES_S = 300.0
SCHEMA = {
    "type": "object",
    "properties": {"dock": {"type": ["integer", "null"]}, "event": {"enum": ["arrival", "damage"]}},
    "required": ["dock", "event"],
    "additionalProperties": False,
}
ROW = {"template": "t", "input": "truck at 4", "expected": {"dock": 4, "event": "arrival"}}
RIGHT = Verdict(True, True, True, [], 0.1, 0.5, "estimated")
WRONG = Verdict(True, True, False, ["dock is 5, expected 4"], 0.1, 0.5, "estimated")
INVALID = Verdict(True, False, False, ["$: not an object"], 0.1, 0.5, "estimated")
MISSING = Verdict(False, False, False, ["no answer in 65 s"])


def done(answer: object) -> dict[str, Any]:
    """Return what the device writes down for an answer."""
    energy = {"j": 0.5, "source": "estimated"}
    return {"seconds": 0.1, "reply": {"event": "done", "json": answer, "energy": energy}}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (done({"dock": 4, "event": "arrival"}), RIGHT),
        (done({"dock": 5, "event": "arrival"}), WRONG),
        ({"error": "no answer in 65 s"}, MISSING),
    ],
)
def test_an_answer_is_right_not_right_or_missing(result: dict[str, Any], expected: Verdict) -> None:
    assert judge(ROW, result, SCHEMA) == expected


@pytest.mark.parametrize(
    "answer",
    [{"dock": 4}, {"dock": "4", "event": "arrival"}, {"dock": 4, "event": "storm"}, None, []],
)
def test_an_answer_that_breaks_its_schema_is_found_here(answer: object) -> None:
    verdict = judge(ROW, done(answer), SCHEMA)
    assert (verdict.answered, verdict.valid, verdict.right) == (True, False, False)


def test_a_refusal_is_shown_with_its_reason() -> None:
    reply = {"event": "refused", "status": 503, "reason": "queue_full", "detail": "10,000 prompts"}
    verdict = judge(ROW, {"seconds": 0.1, "reply": reply}, SCHEMA)
    assert (verdict.answered, list(verdict.remarks)) == (
        False,
        ["refused: queue_full: 10,000 prompts"],
    )


@pytest.mark.parametrize(
    ("verdicts", "failed"),
    [
        ([RIGHT, RIGHT], False),
        ([RIGHT, WRONG], False),
        ([RIGHT, INVALID], True),
        ([RIGHT, MISSING], True),
        ([RIGHT], True),
    ],
)
def test_only_a_missing_or_invalid_answer_fails_the_demo(
    verdicts: list[Verdict], failed: bool
) -> None:
    assert has_failed(verdicts, asked=2) is failed


def test_the_summary_counts_and_says_that_watts_are_estimated() -> None:
    off = {"state": "off", "budget_w": 4.0, "why": "there is no meter"}
    text = summary([RIGHT, WRONG, INVALID, MISSING], asked=4, power=off)
    assert "3 of 4 answered, 2 of 4 schema-valid, 1 of 4 right; 0.3 s, 1.50 J estimated." in text
    assert "*estimated*" in text
    assert "budget of 4 W is not held: there is no meter." in " ".join(text.split())


def test_the_summary_says_what_becomes_of_a_budget_that_is_held() -> None:
    held = {"state": "throttled", "budget_w": 4.0, "why": "steps run half of the time"}
    text = " ".join(summary([RIGHT], asked=1, power=held).split())
    assert "The power budget of 4 W is throttled: steps run half of the time." in text


def test_the_summary_of_metered_answers_does_not_speak_of_an_estimate() -> None:
    assert "estimated" not in summary([Verdict(True, True, True, [], 0.1, 0.5, "hwmon")], asked=1)


@given(st.text(max_size=400), st.dictionaries(st.text(max_size=40), st.text(max_size=200)))
def test_every_message_fits_a_terminal_of_100_columns(asked: str, answer: dict[str, str]) -> None:
    text = describe(20, {**ROW, "input": asked}, done(answer), WRONG)
    assert max(len(line) for line in text.split("\n")) <= WIDTH


def test_a_key_is_set_whether_it_is_commented_out_or_not() -> None:
    text = '[node]\n# state_dir = "/old"  # where\n[broker]\nport = 1883\n'
    changed = set_key(set_key(text, "broker", "port", "9"), "node", "state_dir", '"/new"')
    assert tomllib.loads(changed) == {"node": {"state_dir": "/new"}, "broker": {"port": 9}}


def test_the_same_key_of_another_table_is_left_alone() -> None:
    changed = set_key("[broker]\nport = 1\n\n[metrics]\n# port =\n", "broker", "port", "9")
    assert changed == "[broker]\nport = 9\n\n[metrics]\n# port =\n"


@pytest.mark.parametrize("text", ["[broker]\n", "[broker]\nport = 1\nport = 2\n", "port = 1\n"])
def test_a_key_that_does_not_stand_exactly_once_is_an_error(text: str) -> None:
    with pytest.raises(DemoError, match=r"set broker\.port"):
        set_key(text, "broker", "port", "9")


def test_the_demo_asks_four_fixed_messages_of_each_of_five_templates() -> None:
    rows = pick_rows(MODEL)
    counts = [
        sum(row["template"] == name for row in rows) for name in {r["template"] for r in rows}
    ]
    assert (counts, rows) == ([4] * 5, pick_rows(MODEL))


def test_every_expected_answer_of_the_demo_is_valid() -> None:
    verdicts = [
        judge(row, done(row["expected"]), read_schema(MODEL, row["template"]))
        for row in pick_rows(MODEL)
    ]
    assert [verdict.remarks for verdict in verdicts if not verdict.right] == []


def test_a_taken_port_ends_the_demo_with_what_why_and_what_to_do() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-m", "tools.demo_run", "--port", str(port)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.search(rf"port {port} .* is in use.*tools/demo --port {port + 1}", ended.stderr)


@pytest.mark.parametrize("port", ["0", "80", "65536", "-1", "mqtt"])
def test_a_port_that_cannot_be_listened_on_is_refused_with_the_range(
    port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments([f"--port={port}"])
    assert (ended.value.code, "from 1024 to 65535" in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize(
    ("library_path", "expected"), [("", "{0}/client"), ("/lib", "LD_LIBRARY_PATH=/lib {0}/client")]
)
def test_a_line_to_try_names_the_program_that_was_unpacked_and_the_libraries_if_any(
    tmp_path: Path, library_path: str, expected: str
) -> None:
    (tmp_path / "client").touch(mode=0o755)
    unpacked = Programs("mosquitto", "unpacked", (tmp_path,), library_path)
    assert client(unpacked, "client") == expected.format(tmp_path)


def test_a_device_without_a_broker_says_so() -> None:
    command = [sys.executable, "-m", "tools.demo_device", "--port", str(free_port())]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert (ended.returncode, "no broker at" in ended.stderr) == (1, True)


def test_the_device_shares_no_code_with_the_daemon() -> None:
    text = (ROOT / "tools" / "demo_device.py").read_text()
    assert re.findall(r"^\s*(?:from|import) (?:edged|tools)", text, flags=re.MULTILINE) == []


@pytest.mark.broker
@pytest.mark.model
class TestTheWholeDemo:
    def test_twenty_of_twenty_answers_are_valid_and_nothing_is_left(self, tmp_path: Path) -> None:
        port = free_port()
        with demo(tmp_path, port) as process:
            text, _ = process.communicate(timeout=300)
        assert (process.returncode, "20 of 20 schema-valid" in text) == (0, True), text
        assert (is_port_free(port), list(tmp_path.iterdir())) == (True, [])

    def test_the_three_lines_to_try_work_as_printed(self, tmp_path: Path) -> None:
        with demo(tmp_path, free_port(), "--keep") as process:
            lines = lines_to_try(process)
            reply = json.loads(run_line(lines["mosquitto_rr"] + " -W 60"))
            listen = lines["mosquitto_sub"] + " -C 1 -W 60"
            with subprocess.Popen(
                listen, shell=True, stdout=subprocess.PIPE, text=True
            ) as listener:
                run_line(lines["mosquitto_pub"])
                heard, _ = listener.communicate(timeout=90)
        assert (reply["event"], '"event": "done"' in heard or '"event":"done"' in heard) == (
            "done",
            True,
        )

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_stops_all_that_was_started(
        self, number: signal.Signals, tmp_path: Path
    ) -> None:
        port = free_port()
        with demo(tmp_path, port, "--keep") as process:
            lines_to_try(process)
            process.send_signal(number)
            process.wait(60)
        assert process.returncode == 128 + number
        assert (is_port_free(port), list(tmp_path.iterdir())) == (True, [])
        assert processes_in(tmp_path) == []

    def test_a_daemon_that_is_killed_fails_the_demo_and_leaves_no_engine(
        self, tmp_path: Path
    ) -> None:
        with demo(tmp_path, free_port(), "--keep") as process:
            lines_to_try(process)
            (daemon,) = processes_in(tmp_path, "edged run")
            os.kill(daemon, signal.SIGKILL)
            rest, _ = process.communicate(timeout=60)
        assert (process.returncode, "edged ended with -9" in rest) == (1, True)
        assert processes_in(tmp_path) == []


@contextmanager
def demo(scratch: Path, port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The demo on a port of its own, with its scratch folder under a test's."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.demo_run", "--port", str(port), *options],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def lines_to_try(process: subprocess.Popen[str]) -> dict[str, str]:
    """Read the demo's output up to the last of the lines to try; return program -> line."""
    assert process.stdout is not None
    lines: dict[str, str] = {}
    seen = []
    # With `--keep` the demo runs on: a line that never comes would be waited for without an end.
    with ended_after(LINES_S, process):
        for line in process.stdout:
            seen.append(line)
            found = re.match(r"(?:LD_LIBRARY_PATH=\S+ )?(?:\S*/)?(mosquitto_\w+) ", line)
            if found:
                lines[found[1]] = line.strip()
            if "mosquitto_rr" in lines:
                return lines
    raise AssertionError("the demo ended early:\n" + "".join(seen[-20:]))


@contextmanager
def ended_after(seconds: float, process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process that is not done with when the time is up."""
    timer = threading.Timer(seconds, process.terminate)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def run_line(line: str) -> str:
    """Run a line as a person's shell would, and return what it prints."""
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True, timeout=90)
    return done.stdout


def processes_in(directory: Path, words: str = "") -> list[int]:
    """Return the processes whose command line names a directory, and these words."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        if str(directory) in command and words in command:
            found.append(int(entry.parent.name))
    return found
