"""`edged calibrate` as a person runs it: real processes, interrupted, killed, resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edged.__main__ import main
from edged.board.knobs.saved import FILE as CLOCKS_FILE
from edged.errors import ConfigError
from edged.lock import only_holder
from edged.power.table import FILE
from edged.sweep import notes
from tests.broker import Mosquitto
from tests.daemon_fixtures import ROOT, wait_until
from tests.engine_fixtures import write_config
from tests.golden_tree import tree
from tests.mqtt_fixtures import Device
from tests.power_fixtures import FULL
from tests.sysfs_plant import CAPS
from tests.test_board_external import SWITCH
from tools.board_processes import DEADLINE_S

VIRTUAL = {"engine": {"backend": "sim", "virtual_board": "rk3588"}}


@dataclass
class Calibration:
    """A started `edged calibrate`; what it says goes into files."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def said(self) -> str:
        """What it has said so far."""
        return (self.folder / "said.log").read_text()

    def wait_for(self, words: str) -> None:
        """Wait until it has said so."""
        wait_until(lambda: words in self.said, f"{words!r} of {self.said!r}")

    def end(self) -> int:
        """Return its exit code, once it has ended."""
        return self.process.wait(DEADLINE_S)


@contextmanager
def calibrating(folder: Path, *words: str) -> Iterator[Calibration]:
    """Run the command on the configuration in a folder; end it and its engine with the block."""
    command = [sys.executable, "-m", "edged", "calibrate", "--config", str(folder / "edged.toml")]
    with (folder / "said.log").open("wb") as log:
        process = subprocess.Popen([*command, *words], cwd=ROOT, stdout=log, stderr=log)
    try:
        yield Calibration(process, folder)
    finally:
        process.kill()
        process.wait(DEADLINE_S)
        for pid in engines_of(folder):
            os.kill(pid, signal.SIGKILL)


def engines_of(folder: Path) -> list[int]:
    """Return the engine that runs on a folder's state, if any."""
    try:
        pid = int((folder / "engine.lock").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return []
    return [pid] if b"engine" in command else []


def kept(folder: Path) -> dict[str, Any]:
    """Return the table."""
    table: dict[str, Any] = json.loads((folder / FILE).read_text())
    return table


def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what `edged check` says of the calibration."""
    assert main(["check", str(folder / "edged.toml"), "--json"]) == 0
    said: str = json.loads(capsys.readouterr().out)["calibration"]
    return said


@pytest.mark.model
@pytest.mark.slow
def test_an_interrupted_calibration_is_resumed_and_its_table_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_config(tmp_path, **VIRTUAL)
    with calibrating(tmp_path, "--dwell", "2") as first:
        first.wait_for("1/3")
        first.process.send_signal(signal.SIGINT)
        assert first.end() == 130
        assert "interrupted; the same command goes on from there" in first.said
        assert engines_of(tmp_path) == []
    assert (tmp_path / notes.FILE).exists()
    with calibrating(tmp_path, "--dwell", "2") as second:
        assert second.end() == 0, second.said
        assert "1 of 3 stops are there already" in second.said
    assert [row["phase"] for row in kept(tmp_path)["rows"]] == ["prefill", "decode"]
    assert kept(tmp_path)["idle_w"] == pytest.approx(1.4, abs=0.1)
    assert not (tmp_path / notes.FILE).exists()
    assert check(tmp_path, capsys).startswith("2 rows")


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_clocks_come_back_from_a_calibration_that_is_ended_or_killed(
    tmp_path: Path, number: signal.Signals
) -> None:
    root = tree(tmp_path / "sys", "orangepi_5", "orangepi_5.ina226")
    write_config(tmp_path, power={"sysfs": str(root)}, model={"context_tokens": 512})
    with calibrating(tmp_path, "--dwell", "1") as one:
        wait_until(lambda: caps(root) != FULL, "a clock that is capped")
        assert (tmp_path / CLOCKS_FILE).exists()
        one.process.send_signal(number)
        one.end()
    if number == signal.SIGKILL:
        assert caps(root) != FULL
        words = ["restore-clocks", "--config", str(tmp_path / "edged.toml"), "--root", str(root)]
        assert main(words) == 0
    assert caps(root) == FULL
    assert not (tmp_path / CLOCKS_FILE).exists()


def caps(root: Path) -> tuple[int, ...]:
    """Return the caps, once no write is under way."""
    while True:
        try:
            return tuple(int((root / cap).read_text()) for cap in CAPS)
        except ValueError:
            continue


@pytest.mark.broker
@pytest.mark.model
@pytest.mark.slow
def test_a_plug_teaches_a_board_and_its_table_is_stale_where_a_chip_measures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Device(broker) as plug:
        broker_table = {"host": broker.host, "port": broker.port}
        plug_table = {"topic": "plug", "boundary": "board_input", "period_s": 1.0}
        write_config(tmp_path, broker=broker_table, plug=plug_table, **VIRTUAL)
        with calibrating(tmp_path, "--meter", "mqtt", "--dwell", "2") as one:
            deadline_s = time.monotonic() + DEADLINE_S
            while one.process.poll() is None and time.monotonic() < deadline_s:
                watts_w = 5.2 if "1/3" in one.said else 2.1
                status = SWITCH | {"apower": watts_w}
                plug.publish("plug/status/switch:0", json.dumps(status).encode())
                wait_a_moment(one)
            assert one.end() == 0, one.said
    table = kept(tmp_path)
    assert table["key"]["meter"] == "shelly plug"
    assert table["idle_w"] == pytest.approx(2.1)
    assert [row["above_w"] for row in table["rows"]] == pytest.approx([3.1, 3.1])
    assert "it was made against shelly plug, the meter is ina226" in check(tmp_path, capsys)


def wait_a_moment(one: Calibration) -> None:
    """Let a fifth of a second pass, or the process end."""
    try:
        one.process.wait(0.2)
    except subprocess.TimeoutExpired:
        return


def test_a_board_that_serves_is_not_calibrated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, **VIRTUAL)
    with only_holder(tmp_path / "edged.lock", ConfigError):
        assert main(["calibrate", "--config", str(config)]) == 78
    said = capsys.readouterr().err
    assert f"edged runs (process {os.getpid()})" in said
    assert "systemctl stop edged.service edged-engine.service" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no meter measures this board"),
        (["--meter", "mqtt"], "no plug is configured: put its topic into `[plug] topic`"),
    ],
)
def test_without_a_meter_it_says_which_ones_there_could_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    root = tree(tmp_path / "sys", "x86")
    config = write_config(tmp_path, power={"sysfs": str(root)})
    assert main(["calibrate", "--config", str(config), *words]) == 78
    assert says in capsys.readouterr().err


def test_a_runtime_that_takes_prompts_whole_is_not_calibrated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "sys", "rock_5b", "rock_5b.ina228")
    config = write_config(tmp_path, engine={"backend": "rkllm"}, power={"sysfs": str(root)})
    assert main(["calibrate", "--config", str(config)]) == 78
    assert "RKLLM computes each prompt whole" in capsys.readouterr().err


def test_a_backend_without_a_meter_is_not_calibrated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, engine={"backend": "sim"})
    assert main(["calibrate", "--config", str(config)]) == 78
    assert "there is nothing to calibrate" in capsys.readouterr().err


def test_a_broker_that_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.sweep.plug.CONNECT_S_MAX", 0.5)
    broker = {"host": "127.0.0.1", "port": 9}
    config = write_config(tmp_path, broker=broker, plug={"topic": "plug"}, **VIRTUAL)
    assert main(["calibrate", "--config", str(config), "--meter", "mqtt"]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
