"""Each check of the doctor, over golden trees with one thing broken."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.clock import Instant
from edged.doctor import (
    board,
    clocks,
    driver,
    heat,
    libraries,
    locks,
    meters,
    model,
    nodes,
    open_files,
    overlays,
    owners,
    settings,
    state,
    wall_clock,
)
from edged.doctor.finding import Finding
from edged.doctor.person import Guard, Person
from edged.doctor.root import Root
from edged.engine.rkllm.library import NAME as RKLLM
from tests.doctor_fixtures import STRANGER, config, levels, library, mine, says, with_npu, write
from tests.doctor_fixtures import board as golden
from tests.golden_tree import EACH_BOARD
from tests.memory import tmp_path as tmp_path
from tests.tiny_gguf import write_tiny_gguf

ROOT = Path(__file__).parent.parent
POWER = config({}).power


@EACH_BOARD
def test_each_board_is_known_by_its_device_tree(tmp_path: Path, board: str) -> None:
    found = look_at(golden(tmp_path, board))
    assert levels(found, "board") == ["ok"]
    assert ("rk3576" if board == "sige5" else "rk3588") in says(found, "board")


def look_at(root: Root, *, needs_npu: bool = False) -> list[Finding]:
    return board.judge(board.look(root), needs_npu=needs_npu)


def test_another_machine_cannot_serve_on_an_npu(tmp_path: Path) -> None:
    assert levels(look_at(golden(tmp_path, "x86"), needs_npu=True), "board") == ["error"]


def test_another_machine_serves_on_its_cpu(tmp_path: Path) -> None:
    assert {one.level for one in look_at(golden(tmp_path, "x86"))} == {"ok"}


@pytest.mark.parametrize(("version", "level"), [("0.9.8", "ok"), ("0.9.6", "error")])
def test_a_driver_must_be_new_enough_for_rkllm(tmp_path: Path, version: str, level: str) -> None:
    root = golden(tmp_path, "rock_5b")
    with_npu(root, version)
    found = driver.judge(driver.look(root), needs_npu=True)
    assert (found.level, version in found.says) == (level, True)


def test_an_old_driver_is_a_warning_where_the_cpu_answers() -> None:
    assert driver.judge((0, 9, 2), needs_npu=False).level == "warning"


def test_a_driver_that_does_not_tell_is_a_warning() -> None:
    assert driver.judge(None, needs_npu=True).level == "warning"


class Kernel:
    """Answers DRM_IOCTL_VERSION as drm_ioctl.c does: numbers in place, the name at its address."""

    def __init__(self, name: bytes) -> None:
        self.name = name

    def __call__(self, opened: int, request: int, told: bytearray) -> int:
        assert (opened > 2, request) == (True, 0xC040_6400)
        *_, room, address = driver.DRM_VERSION.unpack(told)[:5]
        ctypes.memmove(address, self.name, min(room, len(self.name)))
        rest = driver.DRM_VERSION.unpack(told)[3:]
        told[:] = driver.DRM_VERSION.pack(0, 9, 8, *rest)
        return 0


def test_the_version_comes_from_the_kernel_s_drm_driver(tmp_path: Path) -> None:
    (tmp_path / "renderD129").touch()
    assert driver.drm_version(tmp_path / "renderD129", Kernel(b"rknpu")) == (0, 9, 8)


def test_another_driver_s_version_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "renderD128").touch()
    assert driver.drm_version(tmp_path / "renderD128", Kernel(b"panthor")) is None


def test_a_node_that_is_no_device_has_no_version(tmp_path: Path) -> None:
    (tmp_path / "renderD129").touch()
    assert driver.drm_version(tmp_path / "renderD129") is None


@pytest.mark.parametrize(
    ("told", "level", "words"),
    [
        (b"rkllm-runtime version: 1.3.0", "ok", "1.3.0"),
        (b"rkllm-runtime version: 1.2.3", "error", "1.2.3"),
        (b"nothing", "warning", "does not name its version"),
    ],
)
def test_the_version_of_rkllm_is_read_from_its_bytes(
    tmp_path: Path, told: bytes, level: str, words: str
) -> None:
    library(Root(tmp_path), "librkllmrt.so", told)
    found = libraries.judge_rkllm(libraries.look(Root(tmp_path), RKLLM), needs_npu=True)
    assert (found.level, words in found.says) == (level, True)


def test_a_library_of_another_machine_is_refused(tmp_path: Path) -> None:
    path = library(Root(tmp_path), "librkllmrt.so", b"rkllm-runtime version: 1.3.0", machine=62)
    looked = libraries.look(Root(tmp_path), RKLLM, path)
    assert libraries.judge_rkllm(looked, needs_npu=True).level == "error"


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_file_that_is_no_library_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "librkllmrt.so"
    path.write_bytes(content)
    looked = libraries.look(Root(tmp_path), RKLLM, path)
    assert libraries.judge_rkllm(looked, needs_npu=True).level == "error"


def test_a_missing_library_matters_to_its_backend_alone(tmp_path: Path) -> None:
    none = libraries.look(Root(tmp_path), RKLLM)
    wanted = libraries.judge_rkllm(none, needs_npu=True)
    unwanted = libraries.judge_rkllm(none, needs_npu=False)
    assert (wanted.level, unwanted.level) == ("error", "ok")


def test_librknnrt_is_told_with_its_version(tmp_path: Path) -> None:
    library(Root(tmp_path), "librknnrt.so", b"librknnrt version: 2.3.0 (c949ad889d@2024-11-07)")
    found = libraries.judge_rknn(libraries.look(Root(tmp_path), libraries.RKNN), is_needed=False)
    assert (found.level, "2.3.0" in found.says) == ("ok", True)


def guard(mode: int, gid: int = 44_444) -> Guard:
    return Guard(Path("/dev/dri/renderD129"), 0, gid, "render", mode)


def judged(*npu: Guard, person: Person = STRANGER) -> Finding:
    looked = nodes.Nodes(npu, (), None, is_misc=False)
    return nodes.judge(looked, person, needs_npu=True)[0]


def test_a_closed_node_names_the_group_to_join() -> None:
    found = judged(guard(0o660))
    assert (found.level, found.mend) == (
        "error",
        "sudo usermod -aG render edged, then log in or restart edged-engine",
    )


def test_a_node_of_root_s_group_needs_a_rule_of_udev() -> None:
    found = judged(guard(0o660, gid=0))
    assert found.mend is not None
    assert "70-edged-npu.rules" in found.mend


def test_a_member_of_the_group_may_open_it() -> None:
    member = Person("edged", STRANGER.uid, frozenset([44_444]))
    assert judged(guard(0o660), person=member).level == "ok"


@given(st.integers(0, 0o777), st.booleans(), st.booleans())
def test_a_guard_decides_as_the_kernel_does(mode: int, is_owner: bool, is_member: bool) -> None:
    """Only the first class that fits counts, even where a later one would let in."""
    uid = STRANGER.uid if is_owner else 0
    gid = STRANGER.uid if is_member else 44_444
    shift = 6 if is_owner else 3 if is_member else 0
    admitted = Guard(Path("x"), uid, gid, "g", mode).admits(STRANGER)
    assert admitted == (mode >> shift & 0o6 == 0o6)


def test_a_node_that_sysfs_has_and_dev_has_not_is_an_error(tmp_path: Path) -> None:
    root = golden(tmp_path, "rock_5b")
    with_npu(root).unlink()
    found = nodes.judge(nodes.look(root), mine(), needs_npu=True)
    assert levels(found, "npu-node") == ["error"]


def test_the_heap_is_needed_where_the_npu_is_a_misc_device(tmp_path: Path) -> None:
    root = golden(tmp_path, "rock_5b")
    write(root, "/dev/rknpu").chmod(0o666)
    found = nodes.judge(nodes.look(root), mine(), needs_npu=True)
    assert levels(found, "dma-heap") == ["error"]


def test_the_lock_of_an_npu_that_another_program_holds_is_an_error() -> None:
    held = locks.Locks(engine=None, daemon=None, npu=77)
    found = locks.judge(held, Path("/run/lock/edged-npu.lock"), STRANGER, needs_npu=True)
    assert levels(found, "npu-lock") == ["error"]
    assert "process 77" in says(found, "npu-lock")


def test_the_engine_that_holds_the_npu_is_well() -> None:
    held = locks.Locks(engine=77, daemon=76, npu=77)
    found = locks.judge(held, Path("/run/lock/edged-npu.lock"), STRANGER, needs_npu=True)
    assert {one.level for one in found} == {"ok"}


def test_a_lock_of_another_file_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "engine.lock").touch()
    inode = (tmp_path / "engine.lock").stat().st_ino
    line = f"1: FLOCK  ADVISORY  WRITE 12 08:01:{inode}1 0 EOF\n"
    root = Root(tmp_path / "root")
    write(root, "/proc/locks", line)
    assert locks.look(root, tmp_path, tmp_path / "none").engine is None
    write(root, "/proc/locks", line.replace(f"{inode}1 ", f"{inode} "))
    assert locks.look(root, tmp_path, tmp_path / "none").engine == 12


@pytest.mark.parametrize(("count", "level"), [(1024, "warning"), (65_536, "ok")])
def test_the_npu_s_engine_needs_many_open_files(tmp_path: Path, count: int, level: str) -> None:
    root = Root(tmp_path)
    write(root, "/proc/12/limits", f"Max open files            {count}    524288    files\n")
    assert open_files.judge(open_files.look(root, 12), needs_npu=True).level == level


def small_model(tmp_path: Path, free_kb: int, engine: int | None = None) -> Finding:
    path = write_tiny_gguf(tmp_path / "m.gguf")
    root = Root(tmp_path / "root")
    write(root, "/proc/meminfo", f"MemAvailable:   {free_kb} kB\n")
    settings = config({"model": {"path": str(path)}})
    return model.judge(model.look(root, settings, engine))


def test_a_model_over_the_memory_is_an_error(tmp_path: Path) -> None:
    found = small_model(tmp_path, 102_400)
    assert (found.level, "100 MiB are free" in found.says) == ("error", True)
    assert found.mend is not None
    assert found.mend.startswith("choose a smaller model")


def test_a_model_that_fits_is_well(tmp_path: Path) -> None:
    assert small_model(tmp_path, 8_000_000).level == "ok"


def test_what_a_running_engine_holds_is_not_asked_for_again(tmp_path: Path) -> None:
    assert small_model(tmp_path, 100_000, engine=12).level == "ok"


@pytest.mark.parametrize("names", [("rock_5b", "rock_5b.ina228"), ("sige5", "sige5.ina219")])
def test_a_chip_is_the_meter_and_the_contract_is_not(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    found = meters.judge(meters.look(golden(tmp_path, *names), POWER), is_rockchip=True)
    assert set(levels(found, "meter")) == {"ok"}
    assert names[1].rpartition(".")[2] in found[0].says


def test_a_board_without_a_meter_is_told_how_to_get_one(tmp_path: Path) -> None:
    found = meters.judge(meters.look(golden(tmp_path, "orangepi_5"), POWER), is_rockchip=True)
    assert (found[0].level, "INA226" in str(found[0].mend)) == ("warning", True)
    assert "USB-PD contract" in says(found, "meter")


def test_two_chips_are_not_guessed_between(tmp_path: Path) -> None:
    root = golden(tmp_path, "orangepi_5", "orangepi_5.ina226", "second_chip")
    found = meters.judge(meters.look(root, POWER), is_rockchip=True)
    assert [one.level for one in found if "which of them" in one.says] == ["warning"]


def test_a_supply_below_the_peak_is_a_warning(tmp_path: Path) -> None:
    root = golden(tmp_path, "orangepi_5")
    (current,) = root.sys.glob("devices/platform/*/i2c-6/**/hwmon2/curr1_input")
    assert supply(root) == ["ok"]
    current.write_text("500\n")
    assert supply(root) == ["warning"]


def supply(root: Root) -> list[str]:
    return levels(meters.judge_supply(meters.look(root, POWER), POWER), "supply")


@EACH_BOARD
def test_each_clock_is_told_with_its_range(tmp_path: Path, board: str) -> None:
    found = clocks.judge(clocks.look(golden(tmp_path, board), mine()))
    assert [name for name in clocks.NAMES.values() if name not in says(found, "clocks")] == []


def test_a_clock_that_may_not_be_written_names_the_command(tmp_path: Path) -> None:
    found = clocks.judge(clocks.look(golden(tmp_path, "rock_5b"), STRANGER))
    assert set(levels(found, "clocks")) == {"warning"}
    assert all("chgrp edged" in str(one.mend) for one in found)


@pytest.mark.parametrize("name", owners.PROGRAMS)
def test_another_program_that_sets_clocks_is_named(tmp_path: Path, name: str) -> None:
    root = golden(tmp_path, "rock_5b")
    write(root, "/proc/321/comm", f"{name}\n")
    found = owners.judge(owners.look(root))
    assert (levels(found, "owners"), name in says(found, "owners")) == (["warning"], True)


def test_a_unit_that_sets_clocks_at_boot_is_named(tmp_path: Path) -> None:
    root = golden(tmp_path, "rock_5b")
    write(root, f"{owners.WANTED}/cpufrequtils.service")
    assert levels(owners.judge(owners.look(root)), "owners") == ["warning"]


@EACH_BOARD
def test_a_clock_that_is_held_in_place_is_named(tmp_path: Path, board: str) -> None:
    root = golden(tmp_path, board)
    assert levels(owners.judge(owners.look(root)), "owners") == ["ok"]
    for folder in (root.sys / "devices/system/cpu/cpufreq").glob("policy*"):
        (folder / "scaling_min_freq").write_text((folder / "scaling_max_freq").read_text())
    assert "held at one clock" in says(owners.judge(owners.look(root)), "owners")


def test_heat_is_told_before_and_while_it_costs_speed(tmp_path: Path) -> None:
    root = golden(tmp_path, "rock_5b")
    assert heat.judge(heat.look(root)).level == "ok"
    zone = root.sys / "class/thermal/thermal_zone0/temp"
    zone.write_text("80000\n")
    assert "soon" in heat.judge(heat.look(root)).says
    cpu = next(one for one in (root.sys / "class/thermal").glob("cooling*") if is_clock(one))
    (cpu / "cur_state").write_text("1\n")
    assert "holds clocks down" in heat.judge(heat.look(root)).says


def is_clock(device: Path) -> bool:
    return "cpufreq" in (device / "type").read_text()


def test_enabled_overlays_that_do_nothing_are_named(tmp_path: Path) -> None:
    root = golden(tmp_path, "orangepi_5")
    write(root, "/boot/armbianEnv.txt", "user_overlays=foo edged-ina226 edged-npu-cap\n")
    found = overlays.judge(overlays.look(root))
    assert levels(found, "overlays") == ["ok", "warning", "warning"]


def test_an_overlay_that_is_in_force_is_well(tmp_path: Path) -> None:
    root = golden(tmp_path, "orangepi_5", "orangepi_5.ina226")
    line = "    fdtoverlays /boot/dtbo/edged-ina226.dtbo /boot/dtbo/other.dtbo\n"
    write(root, "/boot/extlinux/extlinux.conf", line)
    found = overlays.judge(overlays.look(root))
    assert (levels(found, "overlays"), "ina226" in found[0].says) == (["ok"], True)


@pytest.mark.parametrize(
    ("wall_s", "is_synchronised", "level"),
    [(2e9, True, "ok"), (2e9, False, "warning"), (1e3, True, "warning")],
)
def test_a_clock_must_be_right_and_kept_so(
    wall_s: float, is_synchronised: bool, level: str
) -> None:
    assert wall_clock.judge(Instant("b", 1.0, wall_s, is_synchronised), 1.7e9).level == level


def test_a_state_directory_of_somebody_else_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    found = state.judge(state.look(tmp_path / "spool"), STRANGER)
    assert (found.level, str(tmp_path / "spool") in str(found.mend)) == ("error", True)


def test_the_units_folder_is_made_by_systemd(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    missing = state.look(tmp_path / "var/lib/edged", is_systemd_s=True)
    assert state.judge(missing, STRANGER).level == "ok"
    (tmp_path / "var/lib/edged").mkdir(parents=True)
    there = state.look(tmp_path / "var/lib/edged", is_systemd_s=True)
    assert state.judge(there, STRANGER).level == "error"


def test_a_file_in_the_place_of_the_state_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = state.judge(state.look(tmp_path / "file" / "spool"), mine())
    assert (found.level, "in the way" in found.says) == ("error", True)


def test_a_budget_that_means_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "edged.toml").write_text("[power]\npeak_w = 1.0\n")
    found = settings.judge(settings.look(tmp_path / "edged.toml"))
    assert (found.level, "power.peak_w = 1" in found.says) == ("error", True)


def test_the_rules_that_are_named_are_there() -> None:
    assert (ROOT / nodes.RULES.split()[2]).is_file()
