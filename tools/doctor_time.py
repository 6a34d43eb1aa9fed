"""How long `edged doctor` takes on each golden tree, as a process of its own.

    python -m tools.doctor_time [--runs N] [--silent-broker]

In:  tests/golden_trees.     Out: the median and the longest of the runs of each tree, s; exit 1 if
one took longer than `LIMIT_S`. With `--silent-broker` the broker takes the connection and says
nothing, which is what the doctor waits for the longest.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.broker_programs import ROOT
from tools.sysfs_capture import lay_out

TREES = ROOT / "tests/golden_trees"
LIMIT_S = 2.0
RUNS = 5


def boards() -> dict[str, list[Path]]:
    """Return the manifests of each board: its own, and of what hangs on it."""
    own = [path for path in sorted(TREES.glob("*.tree")) if "." not in path.stem]
    return {path.stem: [path, *sorted(TREES.glob(f"{path.stem}.*.tree"))] for path in own}


def taken_s(root: Path, port: int) -> float:
    """Return the seconds that the doctor takes on one tree; what it says is for its tests."""
    config = root / "edged.toml"
    config.write_text(
        f"[node]\nstate_dir = '{root}/state'\n[engine]\nbackend = 'sim'\n[broker]\nport = {port}\n"
    )
    command = [sys.executable, "-m", "edged", "doctor", "--config", str(config)]
    began_s = time.perf_counter()
    subprocess.run(
        [*command, "--root", str(root)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return time.perf_counter() - began_s


@contextmanager
def broker(*, is_silent: bool) -> Iterator[int]:
    """Yield the port of a broker that answers nothing, or one where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        if is_silent:
            yield port
    if not is_silent:
        yield port


def main() -> int:
    """Print the table; return whether a run took too long."""
    parser = argparse.ArgumentParser(prog="tools.doctor_time", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="of each tree")
    parser.add_argument("--silent-broker", action="store_true")
    given = parser.parse_args()
    longest_s = 0.0
    with broker(is_silent=given.silent_broker) as port:
        for name, manifests in boards().items():
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder)
                for manifest in manifests:
                    lay_out(manifest.read_text(encoding="utf-8"), root / "sys")
                runs_s = [taken_s(root, port) for _ in range(given.runs)]
            longest_s = max(longest_s, *runs_s)
            print(
                f"{name:12} median {statistics.median(runs_s):.2f} s, longest {max(runs_s):.2f} s"
            )
    return int(longest_s > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
