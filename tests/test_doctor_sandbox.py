"""Whether the engine can reach the NPU: through the unit as it is shipped, past its lock file."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from edged.doctor import locks, sandbox
from edged.doctor.finding import Finding
from edged.doctor.person import Guard, Person
from edged.doctor.root import Root
from tests.doctor_fixtures import levels, write

ROOT = Path(__file__).parent.parent
NPU_LOCK = Path("/run/lock/edged-npu.lock")
SERVICE = Person("edged", 54_321, frozenset([54_321]))
ETC = ROOT / "firmware-config/common/all/etc"


def installed(root: Root, *, with_drop_ins: bool = True) -> Root:
    """Install the engine's own unit, with what firmware-config adds to it."""
    units = root.at("/etc/systemd/system")
    units.mkdir(parents=True)
    shutil.copy(ROOT / "systemd" / sandbox.UNIT, units)
    if with_drop_ins:
        shutil.copytree(ETC / f"systemd/system/{sandbox.UNIT}.d", units / f"{sandbox.UNIT}.d")
        write(root, str(NPU_LOCK))
    return root


def sandboxed(root: Root, person: Person = SERVICE, *, needs_npu: bool = True) -> list[Finding]:
    return sandbox.judge(sandbox.look(root, NPU_LOCK), person, needs_npu=needs_npu)


def test_the_unit_with_its_drop_ins_lets_the_engine_reach_the_npu(tmp_path: Path) -> None:
    assert levels(sandboxed(installed(Root(tmp_path))), "sandbox") == ["ok"]


def test_the_unit_alone_hides_the_npu_from_the_service_and_from_nobody_else(
    tmp_path: Path,
) -> None:
    root = installed(Root(tmp_path), with_drop_ins=False)
    assert levels(sandboxed(root), "sandbox") == ["error"]
    assert levels(sandboxed(root, Person("me", 1, frozenset())), "sandbox") == ["warning"]
    assert sandboxed(root, needs_npu=False) == []


def test_a_lock_that_nobody_made_is_an_error_in_the_sandbox(tmp_path: Path) -> None:
    root = installed(Root(tmp_path))
    root.at(str(NPU_LOCK)).unlink()
    (found,) = sandboxed(root)
    assert (found.level, "edged-npu-lock.conf" in str(found.mend)) == ("error", True)


def test_the_files_that_mend_the_sandbox_are_there() -> None:
    named = re.findall(r"firmware-config/\S+", f"{sandbox.OPEN_IT} {sandbox.MAKE_LOCK}")
    assert len(named) == 2
    assert all((ROOT / name).is_file() for name in named)


def test_where_no_unit_is_installed_nothing_is_said_of_it(tmp_path: Path) -> None:
    assert sandboxed(Root(tmp_path)) == []


@pytest.mark.parametrize(("mode", "levels_told"), [(0o600, ["error"]), (0o666, [])])
def test_a_free_lock_that_another_user_made_and_keeps_closed_is_an_error(
    mode: int, levels_told: list[str]
) -> None:
    file = Guard(NPU_LOCK, 0, 0, "root", mode)
    held = locks.Locks(engine=None, daemon=None, npu=None, npu_file=file)
    found = locks.judge(held, file.path, SERVICE, needs_npu=True)
    assert levels(found, "npu-lock") == levels_told
