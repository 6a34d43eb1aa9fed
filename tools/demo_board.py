"""The edged that the demo runs: its scratch folder, its configuration, its process.

In: a port.  Out: a running `edged run`, stopped by its own pid whatever happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.broker_programs import ROOT, BrokerError

PROGRAMS = ROOT / ".venv" / "bin"
STOP_S = 20.0


class DemoError(Exception):
    """The demo cannot go on; the text says what, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Board:
    """The edged that the demo runs, as its configuration file names it."""

    config: Path
    state_dir: Path
    log: Path
    root: str  # edged/v1/{site}
    node: str
    port: int


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for broker, spool and logs, which stays behind only when the demo fails."""
    directory = Path(tempfile.mkdtemp(prefix="edged-demo-"))
    failures: list[Exception] = []
    try:
        yield directory
    except (DemoError, BrokerError) as error:
        failures.append(error)  # its text names a log in the folder
        raise
    finally:
        if not failures:
            shutil.rmtree(directory, ignore_errors=True)


def write_config(directory: Path, port: int) -> Board:
    """Write the shipped configuration with the demo's port and state directory.

    Raises:
        DemoError: edged is not installed, or cannot print its configuration.
    """
    try:
        command = [str(PROGRAMS / "edged"), "config", "--example"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise DemoError(f"edged does not run ({error}): try tools/setup demo") from error
    text = set_key(text, "broker", "port", str(port))
    state_dir = directory / "state"
    text = set_key(text, "node", "state_dir", json.dumps(str(state_dir)))
    config = directory / "edged.toml"
    config.write_text(text, encoding="utf-8")
    node = tomllib.loads(text)["node"]
    root = f"edged/v1/{node['site']}"
    return Board(config, state_dir, directory / "edged.log", root, node["name"], port)


def set_key(text: str, table: str, key: str, value: str) -> str:
    """Return a TOML file with one key of a table set, on its line, commented out or not.

    Raises:
        DemoError: no line of the table, or more than one, is about the key.
    """
    head, mark, rest = text.partition(f"[{table}]\n")
    own, following, others = rest.partition("\n[")
    pattern = rf"^#?\s*{key}\s*=.*$"
    changed, count = re.subn(pattern, lambda match: f"{key} = {value}", own, flags=re.MULTILINE)
    if count != 1:
        raise DemoError(
            f"{count} lines of `edged config --example` set {table}.{key}; the demo wants one"
        )
    return f"{head}{mark}{changed}{following}{others}"


@contextlib.contextmanager
def edged(board: Board) -> Iterator[subprocess.Popen[bytes]]:
    """`edged run` with the board's configuration; it starts its own engine process."""
    with board.log.open("ab") as sink:
        process = subprocess.Popen(
            [str(PROGRAMS / "edged"), "run", "--config", str(board.config)],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # edged ends its engine itself, unless it was killed or crashed: then it leaves the engine
        # to its next run, which here never comes.
        for pid in processes_of(board.state_dir):
            end(pid)


def processes_of(state_dir: Path) -> list[int]:
    """Return the processes whose command line names a state directory, which is ours alone."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may end while we look
            if os.fsencode(state_dir) in entry.read_bytes():
                found.append(int(entry.parent.name))
    return found


def end(pid: int) -> None:
    """End a process that is not a child of ours, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        signal.pidfd_send_signal(process, signal.SIGTERM)
        select.select([process], [], [], STOP_S)
        os.close(process)
