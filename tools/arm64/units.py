"""What systemd would do where it runs as PID 1, read from commands and from unit files.

In a chroot `systemctl enable` makes its links and `systemctl start` does nothing. So the unit's own
lines are carried out: what it wants beside it, its folders, its user, what comes before, what it
starts, and when that is ready.

In: commands, unit files.  Out: `Order`s, scripts. Carried out by `services`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Verb = Literal["start", "restart", "stop"]
FOLDERS = ("/etc/systemd/system", "/lib/systemd/system")
# What stands between two commands of the guide; none of them has such a thing in quotes.
BETWEEN = re.compile(r"\n|&&|;")
# Each key of a unit with the folder below which systemd makes it, and how the service is told.
DIRECTORIES = {
    "StateDirectory": ("/var/lib", "STATE_DIRECTORY"),
    "RuntimeDirectory": ("/run", "RUNTIME_DIRECTORY"),
}


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of systemd for one service."""

    verb: Verb
    name: str


def orders(script: str) -> list[Order]:
    """Return what a script asks systemd to start or to stop, in its order."""
    return [
        order
        for program, *words in commands(script)
        if program == "systemctl"
        for order in _orders(words)
    ]


def _orders(words: Sequence[str]) -> list[Order]:
    plain = [word for word in words if not word.startswith("-")] or [""]
    verb = "start" if plain[0] == "enable" and "--now" in words else plain[0]
    return [
        Order(known, full_name(name))
        for known in get_args(Verb)
        if verb == known
        for name in plain[1:]
    ]


def commands(script: str) -> list[list[str]]:
    """Return a script's commands, each as its words, without sudo and comments."""
    parts = BETWEEN.split(script.replace("\\\n", " "))
    words = [part.partition(" #")[0].split() for part in parts]
    plain = [one[1:] if one[:1] == ["sudo"] else one for one in words]
    return [one for one in plain if one]


def full_name(name: str) -> str:
    """Return a unit's name as its file is called."""
    return name if "." in name else f"{name}.service"


def installs_packages(script: str) -> bool:
    """Return whether a script installs packages of Debian, which start the services they bring."""
    return any(
        program in ("apt", "apt-get") and "install" in words for program, *words in commands(script)
    )


def reading(name: str) -> str:
    """Return a script that prints a unit's file."""
    places = " ".join(f"{folder}/{name}" for folder in FOLDERS)
    return f'for file in {places}; do if [ -f "$file" ]; then cat "$file"; exit; fi; done; exit 1'


def wanted(unit: str) -> list[str]:
    """Return the services that systemd starts beside a unit."""
    names = [name for line in values(unit, "Wants") for name in line.split()]
    return [name for name in names if name.endswith(".service")]


def says_when_ready(unit: str) -> bool:
    """Return whether the service says READY=1 to $NOTIFY_SOCKET."""
    return values(unit, "Type") == ["notify"]


def starting(unit: str, notify: str) -> str:
    """Return a script that becomes the service of a unit file.

    Args:
        unit: the file's text.
        notify: where such a service says that it is ready.

    Raises:
        ValueError: the unit starts nothing, or more than one thing.
    """
    (start,) = values(unit, "ExecStart")
    user = (values(unit, "User") or ["root"])[-1]
    lines, told = [], [f"NOTIFY_SOCKET={notify}"] if says_when_ready(unit) else []
    for key, (above, variable) in DIRECTORIES.items():
        for folder in values(unit, key):
            lines.append(f"install -d -o {user} {above}/{folder}")
            told.append(f"{variable}={above}/{folder}")
    lines += [command.lstrip("-") for command in values(unit, "ExecStartPre")]
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
    return "\n".join([*lines, f"exec {shlex.join([*as_user, 'env', *told])} {start}"])


def values(unit: str, key: str) -> Sequence[str]:
    """Return what stands behind a key, on all its lines."""
    return re.findall(rf"^{key}=(.+)$", unit, re.MULTILINE)
