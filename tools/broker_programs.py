"""Where an MQTT broker's programs lie on this machine; unpacks mosquitto's packages if nowhere.

In: this machine.  Out: `Programs`, with their paths and the environment they need.
Standard library only: it runs before the virtual environment is complete.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tools.debian_unpack import UnpackError, unpack

ROOT = Path(__file__).resolve().parent.parent
UNPACKED = ROOT / ".venv" / "broker"
SERVERS = ("mosquitto", "mosquitto_passwd")
CLIENTS = ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr")


class BrokerError(Exception):
    """A broker that cannot be found, started or reached; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the broker's programs lie on this machine."""

    kind: Literal["mosquitto", "amqtt"]
    origin: str  # for people: "installed", "unpacked into .venv/broker", ...
    directories: tuple[Path, ...]  # searched in this order
    library_path: str | None = None  # LD_LIBRARY_PATH that unpacked programs need

    @property
    def mqtt(self) -> Literal["5", "3.1.1"]:
        """The newest MQTT version that the broker speaks."""
        return "5" if self.kind == "mosquitto" else "3.1.1"

    def path(self, name: str) -> Path:
        """Return the path of a program.

        Raises:
            BrokerError: the program is in none of the directories.
        """
        for directory in self.directories:
            if os.access(directory / name, os.X_OK):
                return directory / name
        raise BrokerError(f"{name} is not installed: apt-get install {package_of(name)}")

    def environment(self) -> dict[str, str]:
        """Return the environment to start any of the programs with."""
        if self.library_path is None:
            return dict(os.environ)
        return {**os.environ, "LD_LIBRARY_PATH": self.library_path}


def provide() -> Programs:
    """Return this machine's mosquitto, else an unpacked one, else the embedded amqtt.

    Raises:
        BrokerError: there is none of the three.
    """
    found = find()
    if found is not None:
        return found
    print(f"broker: mosquitto is not installed; unpacking its packages into {UNPACKED}", flush=True)
    try:
        unpack(UNPACKED, ("mosquitto", "mosquitto-clients"))
    except UnpackError as error:
        print(f"broker: no mosquitto: {error}", flush=True)
    return find() or embedded()


def find(unpacked: Path = UNPACKED, installed: Sequence[Path] | None = None) -> Programs | None:
    """Return the mosquitto of this machine, or the one unpacked earlier, or None.

    Args:
        unpacked: where `provide` unpacks to.
        installed: where programs are installed; None: where this machine has them.
    """
    installed = search_path() if installed is None else tuple(installed)
    if is_complete(installed):
        return Programs("mosquitto", "installed", installed)
    # A machine may have the broker without its clients: what is unpacked adds what it lacks.
    both = (*installed, unpacked / "usr" / "sbin", unpacked / "usr" / "bin")
    if is_complete(both):
        return Programs("mosquitto", f"unpacked into {unpacked}", both, library_path(unpacked))
    return None


def search_path() -> tuple[Path, ...]:
    """Return PATH plus the sbin directories, which a plain user's PATH lacks on Debian."""
    entries = [*os.get_exec_path(), "/usr/local/sbin", "/usr/sbin"]
    return tuple(Path(entry) for entry in dict.fromkeys(entries))


def is_complete(directories: Sequence[Path]) -> bool:
    """Return whether the broker and its clients are all there."""
    return all(
        any(os.access(directory / name, os.X_OK) for directory in directories)
        for name in (*SERVERS, *CLIENTS)
    )


def library_path(unpacked: Path) -> str:
    """Return the directories under `unpacked` that hold shared libraries, as LD_LIBRARY_PATH."""
    directories = {library.parent for library in unpacked.glob("**/lib*.so.*")}
    return ":".join(str(directory) for directory in sorted(directories))


def package_of(name: str) -> str:
    """Return the Debian package that holds a program of mosquitto."""
    return "mosquitto-clients" if name in CLIENTS else "mosquitto"


def embedded() -> Programs:
    """Return the broker of the `demo` extra, which speaks MQTT 3.1.1 only.

    Raises:
        BrokerError: the extra is not installed.
    """
    programs = ROOT / ".venv" / "bin"
    if not (programs / "amqtt").exists():
        raise BrokerError(
            "no MQTT broker here: install mosquitto and mosquitto-clients with this system's "
            "package tool, or the embedded one with `tools/setup demo`"
        )
    return Programs("amqtt", "embedded, from the demo extra", (programs,))


def version(programs: Programs) -> str:
    """Return name and version of the broker, as it tells them itself.

    Raises:
        BrokerError: it does not even start, as with a library missing.
    """
    option = "-h" if programs.kind == "mosquitto" else "--version"
    done = subprocess.run(
        [str(programs.path(programs.kind)), option],
        env=programs.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    words = done.stdout.split()
    if not words:
        raise BrokerError(f"{programs.kind} does not start: {done.stderr.strip()}")
    return f"{programs.kind} {next((word for word in words if word[0].isdigit()), words[-1])}"
