"""The sandbox of both units, with the drop-ins of the boards, as systemd judges it.

What a setting does to a running edged is seen in a booted system: test_systemd_boot.py.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edged.board.knobs.cap import find_caps
from tests.golden_tree import EACH_BOARD, tree
from tests.memory import tmp_path as tmp_path
from tools.firmware_config.boards import FIRMWARE

UNITS = Path(__file__).parent.parent / "systemd"
DROP_INS = FIRMWARE / "common" / "all" / "etc" / "systemd" / "system"
DAEMON, ENGINE = "edged.service", "edged-engine.service"
EXPOSURE_MAX = 1.5

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here"
)


@pytest.mark.parametrize("unit", [DAEMON, ENGINE])
@pytest.mark.parametrize("on_board", [True, False], ids=["board", "plain"])
def test_a_unit_is_exposed_to_little(unit: str, on_board: bool, tmp_path: Path) -> None:
    assert judged(laid_out(tmp_path, unit, with_drop_ins=on_board))[0] <= EXPOSURE_MAX


def test_an_unprotected_service_is_not_taken_for_a_safe_one(tmp_path: Path) -> None:
    (tmp_path / "bare.service").write_text("[Service]\nExecStart=/bin/true\n")
    assert judged(tmp_path / "bare.service")[0] > 9


@pytest.mark.parametrize(
    ("unit", "left_open"),
    [
        (
            DAEMON,
            {
                "RootDirectoryOrRootImage",
                "RestrictAddressFamilies_AF_INET_INET6",
                "RestrictAddressFamilies_AF_UNIX",
                "IPAddressDeny",
                "PrivateNetwork",
                "PrivateUsers",
                "ProcSubset",
                "DeviceAllow",
            },
        ),
        (
            ENGINE,
            {
                "RootDirectoryOrRootImage",
                "RestrictAddressFamilies_AF_UNIX",
                "ProcSubset",
                "PrivateDevices",
                "DeviceAllow",
                "SupplementaryGroups",
                "SystemCallFilter_resources",
            },
        ),
    ],
)
def test_nothing_is_open_but_what_the_unit_gives_its_reason_for(
    unit: str, left_open: set[str], tmp_path: Path
) -> None:
    assert judged(laid_out(tmp_path, unit, with_drop_ins=True))[1] == left_open


@EACH_BOARD
@pytest.mark.parametrize("unit", [DAEMON, ENGINE])
def test_every_clock_limit_of_a_board_can_be_written_in_the_sandbox(
    unit: str, board: str, tmp_path: Path
) -> None:
    root = tree(tmp_path, board)
    limits = [cap.path.resolve().relative_to(root.resolve()) for cap in find_caps(root)]
    opened = open_in_sys(unit)
    assert [limit for limit in limits if not opened & {*limit.parents}] == []


def open_in_sys(unit: str) -> set[Path]:
    """Return the folders of sysfs, from its root, that a unit's drop-ins let it write."""
    lines = [file.read_text() for file in (DROP_INS / f"{unit}.d").iterdir()]
    found = re.findall(r"^ReadWritePaths=-/sys/(\S+)$", "\n".join(lines), re.M)
    return {Path(folder) for folder in found}


def laid_out(folder: Path, unit: str, *, with_drop_ins: bool) -> Path:
    """Copy a unit, with what firmware-config adds to it, and return where it lies."""
    shutil.copy(UNITS / unit, folder)
    if with_drop_ins:
        shutil.copytree(DROP_INS / f"{unit}.d", folder / f"{unit}.d")
    return folder / unit


def judged(unit: Path) -> tuple[float, set[str]]:
    """Return systemd's figure for a unit, 0 (nothing) to 10, and the fields that stand open."""
    command = ["systemd-analyze", "security", "--offline=yes", "--json=short", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = json.loads(done.stdout)
    command.remove("--json=short")
    summary = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    figure = float(summary.rpartition(": ")[2].split()[0])
    return figure, {row["json_field"] for row in rows if row["set"] is False}
