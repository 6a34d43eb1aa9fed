"""Whether the engine's unit lets it reach the NPU: devices and the lock, which its sandbox hides.

In:  the unit and its drop-ins, as text.     Out: `Sandbox`, a finding.
The unit alone shows no device, and its file system read-only; what firmware-config adds to it for a
board with an NPU opens both. An engine of a shell has no sandbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.doctor.finding import Finding, trouble, well
from edged.doctor.person import DROP_INS, SERVICE_USER, Person
from edged.doctor.root import Root, text

# Where systemd looks, and where packages put units.
FOLDERS = ("/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system")
UNIT = "edged-engine.service"
COMMON = "firmware-config/common/all/etc"
OPEN_IT = (
    f"sudo install -D -m 644 -t {DROP_INS} {COMMON}/systemd/system/{UNIT}.d/npu.conf && "
    "sudo systemctl daemon-reload"
)
MAKE_LOCK = (
    f"sudo install -m 644 -t /etc/tmpfiles.d {COMMON}/tmpfiles.d/edged-npu-lock.conf && "
    "sudo systemd-tmpfiles --create"
)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the unit lets the engine reach.

    Attributes:
        shows_devices: whether it sees any device of the board.
        opens_lock: whether the NPU's lock can be written in it.
        has_lock: whether that file is there: in the sandbox nobody can make it.
    """

    shows_devices: bool
    opens_lock: bool
    has_lock: bool


def look(root: Root, npu_lock: Path) -> Sandbox | None:
    """Return what the unit allows; None where it is not installed."""
    units = [root.at(f"{folder}/{UNIT}") for folder in FOLDERS]
    unit = next((one for one in units if one.is_file()), None)
    if unit is None:
        return None
    files = [unit, *sorted(root.at(DROP_INS).glob("*.conf"))]
    lines = [line.strip() for file in files for line in text(file).splitlines()]
    settings = [line.partition("=") for line in lines if "=" in line and not line.startswith("#")]
    told = {name: value for name, _, value in settings}
    opened = [value.lstrip("-+") for name, _, value in settings if name == "ReadWritePaths"]
    is_open = told.get("ProtectSystem") != "strict" or bool(
        {str(npu_lock), str(npu_lock.parent)} & set(opened)
    )
    return Sandbox(
        shows_devices=told.get("PrivateDevices") != "yes",
        opens_lock=is_open,
        has_lock=root.at(str(npu_lock)).exists(),
    )


def judge(sandbox: Sandbox | None, person: Person, *, needs_npu: bool) -> list[Finding]:
    """Return whether an engine of the unit reaches the NPU; nothing where there is no unit."""
    if sandbox is None or not needs_npu:
        return []
    is_needed = person.name == SERVICE_USER
    if not sandbox.shows_devices or not sandbox.opens_lock:
        says = f"the sandbox of {UNIT} hides the NPU, or its lock, from the engine"
        return [trouble("sandbox", says, OPEN_IT, is_needed=is_needed)]
    if not sandbox.has_lock:
        says = f"in the sandbox of {UNIT} the engine cannot make the lock of the NPU"
        return [trouble("sandbox", says, MAKE_LOCK, is_needed=is_needed)]
    return [well("sandbox", f"{UNIT} lets the engine open the NPU and take its lock")]
