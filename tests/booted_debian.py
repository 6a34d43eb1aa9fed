"""A Debian with its own systemd, booted in a container, with or without edged in it.

Wants root, systemd-nspawn and debootstrap; the root is made once and kept in build/.
`booted` installs as the README says: what runs inside sees /opt/edged, this checkout, with the
packages of this environment. `machine` is a fresh system, for a package.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DEBIAN = ROOT / "build" / "debian-root"
PACKAGES = (
    "systemd,systemd-sysv,dbus,python3-minimal,python3-venv,libgomp1,mosquitto,mosquitto-clients"
)
UNITS = ("edged.service", "edged-engine.service")
BOOT_S = 120.0


@dataclass(frozen=True, slots=True)
class Booted:
    """A booted system.

    Attributes:
        leader: the process that is its PID 1, as seen from outside.
    """

    leader: int

    def run(self, *command: str, within_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root, to its end."""
        inside = ["nsenter", f"--target={self.leader}", "--all", *command]
        return subprocess.run(inside, capture_output=True, text=True, check=False, timeout=within_s)

    def shell(self, script: str) -> str:
        """Run a script inside and return what it says; it must end well."""
        done = self.run("sh", "-euc", script)
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout.strip()

    def file(self, path: str) -> Path:
        """Return where a file of the system is seen from outside; no link of it may be absolute."""
        return Path(f"/proc/{self.leader}/root{path}")

    def main_pid(self, unit: str) -> str:
        """Return the process of a unit."""
        return self.show(unit, "MainPID")

    def show(self, unit: str, key: str) -> str:
        """Return what systemd knows of a unit."""
        return self.shell(f"systemctl show --value -p {key} {unit}")

    def until(self, is_so: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
        """Wait until something is so."""
        until_s = time.monotonic() + within_s
        while not is_so():
            if time.monotonic() > until_s:
                log = self.run("journalctl", "-n", "60", "--no-pager").stdout
                raise AssertionError(f"not within {within_s:g} s: {what}\n{log}")
            time.sleep(0.25)


def missing_programs() -> list[str]:
    """Return what this machine lacks to boot a Debian."""
    programs = ("systemd-nspawn", "debootstrap", "nsenter")
    return [name for name in programs if shutil.which(name) is None]


# What a module of tests that boot one is marked with.
BOOTS = [
    pytest.mark.slow,
    pytest.mark.broker,
    pytest.mark.model,
    pytest.mark.skipif(
        os.geteuid() != 0 or bool(missing_programs()),
        reason="booting a Debian wants root, systemd-container and debootstrap",
    ),
]


def debian_root() -> Path:
    """Return the root of a small Debian; made once."""
    if not (DEBIAN / "usr/bin/mosquitto_rr").exists():
        shutil.rmtree(DEBIAN, ignore_errors=True)
        DEBIAN.parent.mkdir(exist_ok=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm"]
        subprocess.run([*command, str(DEBIAN)], check=True, capture_output=True)
    return DEBIAN


def stage(folder: Path) -> Path:
    """Lay out what is to be /opt/edged: the checkout, and an environment of the system's python."""
    folder.mkdir(mode=0o755)
    for name in ("edged", "systemd", "firmware-config", "README.md"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to("/usr/bin/python3")
    (folder / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (folder / ".venv" / packages_folder()).mkdir(parents=True)
    (binaries / "edged").write_text(
        "#!/opt/edged/.venv/bin/python\nimport sys\nsys.path.insert(0, '/opt/edged')\n"
        "from edged.__main__ import main\nsys.exit(main())\n"
    )
    (binaries / "edged").chmod(0o755)
    return folder


def packages_folder() -> str:
    """Return where an environment of this Python keeps its packages."""
    return f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


@contextmanager
def booted(folder: Path) -> Iterator[Booted]:
    """Boot a fresh system with edged in it as the README says."""
    packages = Path(sysconfig.get_paths()["purelib"])
    venv = Path("/opt/edged/.venv") / packages_folder()
    binds = {Path("/opt/edged"): stage(folder / "edged"), venv: packages}
    with machine(folder, binds) as one:
        one.shell(INSTALL)
        wait_online(one)
        yield one


@contextmanager
def machine(folder: Path, binds: Mapping[Path, Path]) -> Iterator[Booted]:
    """Boot a fresh copy of the root, without network; its writes go to memory.

    Args:
        folder: for the console's log.
        binds: where in it a folder of ours is to be seen, read-only.
    """
    command = [
        *("systemd-nspawn", "--quiet", "--boot", f"--directory={debian_root()}"),
        *("--volatile=overlay", "--register=no", "--keep-unit", "--private-network"),
        "--console=pipe",
        *(f"--bind-ro={ours}:{there}" for there, ours in binds.items()),
    ]
    with (folder / "console.log").open("wb") as console:
        container = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
        )
    try:
        yield _up(container)
    finally:
        container.terminate()
        container.wait(60)


def _up(container: subprocess.Popen[bytes]) -> Booted:
    until_s = time.monotonic() + BOOT_S
    while (leader := _leader(container.pid)) is None or not _is_up(Booted(leader)):
        assert container.poll() is None, "the container ended while it booted"
        assert time.monotonic() < until_s, f"not booted within {BOOT_S:g} s"
        time.sleep(0.25)
    return Booted(leader)


def wait_online(one: Booted) -> None:
    """Wait until edged is connected: a broker keeps nothing for a session that was never there."""
    one.until(lambda: one.run("sh", "-c", ONLINE).stdout.strip() == "online", "online", 120)


def answered(one: Booted, id: str, wait_s: int = 90) -> str:
    """Ask inside and return the event of the answer, or what was said instead of one."""
    done = one.run("sh", "-c", ASK.format(id=id, wait_s=wait_s))
    return str(json.loads(done.stdout)["event"]) if done.stdout else done.stderr


def _leader(nspawn: int) -> int | None:
    children = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
    return int(children[0]) if children else None


def _is_up(one: Booted) -> bool:
    return one.run("systemctl", "is-active", "multi-user.target").stdout.strip() == "active"


ONLINE = "mosquitto_sub -h 127.0.0.1 -t edged/v1/dock/edge-1/availability -C 1 -W 2"
ASK = (
    "mosquitto_rr -V 5 -h 127.0.0.1 -q 1 -W {wait_s} -t edged/v1/dock/edge-1/req/boot/{id} "
    "-e edged/v1/dock/edge-1/res/boot/{id} "
    """-m '{{"template":"dock-event","input":"pallet 48213 at dock 6"}}'"""
)
# The README's lines, from making the folder on.
INSTALL = """
mkdir -p /etc/edged
/opt/edged/.venv/bin/edged config --example > /etc/edged/edged.toml
install -D -m 644 /opt/edged/systemd/edged.sysusers /etc/sysusers.d/edged.conf
systemd-sysusers
cp /opt/edged/systemd/edged.service /opt/edged/systemd/edged-engine.service /etc/systemd/system/
systemctl daemon-reload
systemctl start mosquitto.service
systemctl enable --now edged.service || { journalctl -u edged -n 30 --no-pager >&2; exit 1; }
"""
