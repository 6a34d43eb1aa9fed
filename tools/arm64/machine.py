"""A machine to try things on: a fresh copy of the root, with processes and a loopback of its own.

In: the root, which stays as it is.  Out: commands run on the machine; its services; their logs.
When it is closed all its processes end, its mounts are gone, and what it wrote is deleted.
"""

from __future__ import annotations

import contextlib
import select
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.arm64.debian import clean_environment
from tools.arm64.emulation import CORE, Arm64Error

# PID 1 of the machine: mounts what a booted system has, says so, and then reaps orphans until it is
# killed. The overlay keeps the root as it is. /sys cannot be written: it is this machine's own.
# systemd judges no unit, not even to try, where it sees no control groups.
INIT = r"""
set -eu
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$RUN/upper,workdir=$RUN/work" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t sysfs -o ro sysfs "$ROOT/sys"
if [ -d /sys/fs/cgroup ]; then mount --rbind /sys/fs/cgroup "$ROOT/sys/fs/cgroup"; fi
mount -t tmpfs tmpfs "$ROOT/run"
mount -t tmpfs tmpfs "$ROOT/tmp"
mount -t tmpfs tmpfs "$ROOT/dev"
for node in null zero full random urandom tty; do
    touch "$ROOT/dev/$node"
    mount --bind "/dev/$node" "$ROOT/dev/$node"
done
mkdir "$ROOT/dev/shm" "$ROOT/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$ROOT/dev/pts"
ln -s pts/ptmx "$ROOT/dev/ptmx"
ln -s /proc/self/fd "$ROOT/dev/fd"
mount --bind "$ARCHIVES" "$ROOT/var/cache/apt/archives"
ip link set lo up
echo ready
while true; do sleep 3600 & wait $! || true; done
"""
READY_S = 60.0
# Source: timeout(1): the exit code where it had to end the command; then, s until it kills.
WAS_ENDED, GRACE_S = 124, 10


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and all that it printed."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Machine:
    """A running machine.

    Attributes:
        init: its PID 1, as this machine numbers it.
        root: where its file system is mounted, in its own mounts.
        logs: a folder of this machine.
    """

    init: int
    root: Path
    logs: Path

    @property
    def files(self) -> Path:
        """Its file system, as it is seen from here."""
        return Path(f"/proc/{self.init}/root{self.root}")

    def run(
        self,
        script: str,
        *,
        name: str,
        has_network: bool = False,
        environment: Mapping[str, str] | None = None,
        limit_s: float = 1800.0,
    ) -> Done:
        """Run a script of bash to its end; what it prints goes to the log `name`.

        Raises:
            Arm64Error: it was not done in time.
        """
        command = self.command(
            script, has_network=has_network, environment=environment or {}, limit_s=limit_s
        )
        log = self.log(name)
        with log.open("ab") as sink:
            sink.write(f"{script.strip()}\n---\n".encode())
            sink.flush()
            begin = log.stat().st_size
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
            )
        if done.returncode == WAS_ENDED:
            raise Arm64Error(f"not done after {limit_s:.0f} s; the log: {log}")
        return Done(done.returncode, log.read_bytes()[begin:].decode("utf-8", "replace"))

    def start(self, script: str, name: str) -> subprocess.Popen[bytes]:
        """Start a script that goes on until the machine is closed; return what waits for it."""
        with self.log(name).open("w", encoding="utf-8") as sink:
            return subprocess.Popen(
                self.command(script, has_network=False, environment={}),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )

    def command(
        self,
        script: str,
        *,
        has_network: bool,
        environment: Mapping[str, str],
        limit_s: float | None = None,
    ) -> list[str]:
        """Return the command of this machine that runs a script there, in root's home.

        Whoever kills it does not reach the script, which is in a PID namespace of its own; so the
        limit is watched inside.
        """
        variables = {**clean_environment(), "QEMU_CPU": CORE, **environment}
        enter = ["nsenter", f"--target={self.init}", "--mount", "--pid", "--ipc", "--uts"]
        enter += [] if has_network else ["--net"]
        watched = [] if limit_s is None else ["timeout", f"--kill-after={GRACE_S}", f"{limit_s}"]
        inside = ["chroot", str(self.root), "env", "-i", "-C", "/root"]
        inside += [f"{name}={value}" for name, value in variables.items()]
        return [*enter, "--", *watched, *inside, "bash", "-euo", "pipefail", "-c", script]

    def log(self, name: str) -> Path:
        """Return the file of a log."""
        return self.logs / f"{name}.log"


@contextlib.contextmanager
def running(root: Path, place: Path) -> Iterator[Machine]:
    """Run a machine on a copy of the root until the block ends.

    Raises:
        Arm64Error: its mounts or its namespaces could not be made.
    """
    copy, logs, archives = place / "run", place / "log", place / "archives"
    shutil.rmtree(copy, ignore_errors=True)
    for folder in (copy / "upper", copy / "work", copy / "root", logs, archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    variables = {"LOWER": root, "RUN": copy, "ROOT": copy / "root", "ARCHIVES": archives}
    command = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    with subprocess.Popen(
        [*command, "bash", "-c", INIT],
        env={**clean_environment(), **{name: str(path) for name, path in variables.items()}},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            wait_until_ready(process)
            yield Machine(child_of(process.pid), copy / "root", logs)
        finally:
            process.kill()  # --kill-child: PID 1 goes with it, and with PID 1 all the others
            process.wait()
    shutil.rmtree(copy, ignore_errors=True)


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Wait until PID 1 has mounted everything.

    Raises:
        Arm64Error: it ended, or says nothing.
    """
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], READY_S)
    said = process.stdout.readline().strip() if readable else f"nothing for {READY_S:.0f} s"
    if said != "ready":
        raise Arm64Error(f"the machine did not start: {said or 'its namespaces were refused'}")


def child_of(pid: int) -> int:
    """Return the only child of a process: of nsenter or unshare, what they started."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
