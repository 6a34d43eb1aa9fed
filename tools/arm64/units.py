"""What systemd would do where it runs as PID 1: start the services that a command asks for.

In a chroot `systemctl enable` makes its links and `systemctl start` does nothing. So the unit's own
lines are carried out here: what it wants beside it, its folders, its user, what comes before, what
it starts, and when that is ready. Nothing supervises.

In: commands, unit files.  Out: scripts.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

FOLDERS = ("/etc/systemd/system", "/lib/systemd/system")
STARTED = re.compile(r"^systemctl start (.+)$", re.MULTILINE)
# Each key of a unit with the folder below which systemd makes it, and how the service is told.
DIRECTORIES = {
    "StateDirectory": ("/var/lib", "STATE_DIRECTORY"),
    "RuntimeDirectory": ("/run", "RUNTIME_DIRECTORY"),
}


def started_by(script: str) -> list[str]:
    """Return the services that a script asks systemd to start."""
    names = [name for line in STARTED.findall(script) for name in line.split()]
    return [name if "." in name else f"{name}.service" for name in names]


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
