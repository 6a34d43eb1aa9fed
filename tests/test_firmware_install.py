"""`tools/install-firmware-config` on fake roots of Armbian and Radxa OS."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from unittest import mock

import pytest

from tests.device_trees import blob, programs, run
from tests.firmware_roots import (
    RADXA_VERSION,
    VERSION,
    armbian,
    contents,
    extlinux,
    foreign_overlay,
    radxa_os,
    running_on,
    u_boot_updated,
    write,
)
from tests.memory import tmp_path as tmp_path
from tools.firmware_config.boards import BOARDS
from tools.firmware_config.cli import main
from tools.firmware_config.record import BACKUPS, RECORD

ROOT = Path(__file__).parent.parent
ENV = "boot/armbianEnv.txt"
System: TypeAlias = Callable[..., Path]
EACH_BOARD = pytest.mark.parametrize("board", BOARDS)


@EACH_BOARD
def test_armbian_boots_with_the_overlays_that_were_installed(board: str, tmp_path: Path) -> None:
    root = armbian(tmp_path, board)
    assert install(root, board).returncode == 0
    names = [overlay.installed for overlay in BOARDS[board].overlays]
    assert setting(root, "user_overlays") == names
    files = [str(root / f"boot/overlay-user/{name}.dtbo") for name in names]
    tree = str(root / "boot/dtb" / BOARDS[board].tree)
    run("fdtoverlay", "-i", tree, "-o", str(tmp_path / "booted.dtb"), *files)


def test_radxa_os_finds_the_overlays_in_its_folder(tmp_path: Path) -> None:
    root = radxa_os(tmp_path)
    done = install(root, "rock-5b")
    assert (done.returncode, "run in that system: u-boot-update" in done.stdout) == (0, True)
    assert sorted(path.name for path in (root / "boot/dtbo").iterdir()) == [
        "edged-ina226.dtbo",
        "edged-npu-cap.dtbo",
        "edged-watchdog.dtbo",
    ]
    assert not (root / BACKUPS / "etc/default/u-boot").exists()


def test_a_boot_menu_that_was_not_updated_is_updated_by_the_next_run(tmp_path: Path) -> None:
    root = radxa_os(tmp_path)
    install(root, "rock-5b")
    assert "u-boot-update" in install(root, "rock-5b").stdout
    u_boot_updated(root)
    assert "u-boot-update" not in install(root, "rock-5b").stdout
    assert "u-boot-update" in install(root, "rock-5b", "--without", "watchdog").stdout


def test_where_radxa_os_lists_its_overlays_ours_join_the_list(tmp_path: Path) -> None:
    root = radxa_os(tmp_path)
    write(root / "etc/default/u-boot", 'U_BOOT_FDT_OVERLAYS="fan.dtbo"\n')
    foreign_overlay(root / "boot/dtbo/fan.dtbo")
    assert install(root, "rock-5b", "--without", "watchdog").returncode == 0
    line = 'U_BOOT_FDT_OVERLAYS="fan.dtbo edged-ina226.dtbo edged-npu-cap.dtbo"\n'
    assert (root / "etc/default/u-boot").read_text() == line


@pytest.mark.parametrize("system", [armbian, radxa_os], ids=["armbian", "radxa-os"])
class TestEverySystem:
    """What holds on both."""

    def test_a_second_installation_changes_nothing(self, system: System, tmp_path: Path) -> None:
        root = system(tmp_path, "rock-5b")
        install(root, "rock-5b")
        u_boot_updated(root)
        before = contents(root)
        done = install(root, "rock-5b")
        assert ("Nothing to do." in done.stdout, contents(root)) == (True, before)

    def test_a_dry_run_writes_nothing(self, system: System, tmp_path: Path) -> None:
        root = system(tmp_path, "rock-5b")
        before = contents(root)
        done = install(root, "rock-5b", "--dry-run")
        assert (done.returncode, "Nothing was written" in done.stdout) == (0, True)
        assert contents(root) == before

    def test_a_revert_puts_every_file_back(self, system: System, tmp_path: Path) -> None:
        root = system(tmp_path, "rock-5b")
        write(root / "etc/modprobe.d/edged.conf", "# somebody's own\n")
        before = contents(root)
        install(root, "rock-5b")
        assert contents(root) != before
        assert install(root, "rock-5b", "--revert").returncode == 0
        assert contents(root) == before

    def test_a_dry_revert_writes_nothing(self, system: System, tmp_path: Path) -> None:
        root = system(tmp_path, "rock-5b")
        install(root, "rock-5b")
        before = contents(root)
        done = install(root, "rock-5b", "--revert", "--dry-run")
        assert ("restore" in done.stdout, contents(root)) == (True, before)

    def test_an_interrupted_installation_can_be_completed_and_reverted(
        self, system: System, tmp_path: Path
    ) -> None:
        root = system(tmp_path, "rock-5b")
        write(root / "etc/modprobe.d/edged.conf", "# somebody's own\n")
        before = contents(root)
        install(root, "rock-5b")
        whole = contents(root)
        # As if the power had gone between two files.
        for name in sorted(set(whole) - set(before) - {str(RECORD)})[::2]:
            (root / name).unlink()
        write(root / "etc/modprobe.d/edged.conf", "# somebody's own\n")
        assert install(root, "rock-5b").returncode == 0
        assert contents(root) == whole
        install(root, "rock-5b", "--revert")
        assert contents(root) == before

    def test_an_overlay_left_out_later_goes(self, system: System, tmp_path: Path) -> None:
        root = system(tmp_path, "rock-5b")
        install(root, "rock-5b")
        install(root, "rock-5b", "--without", "npu-cap", "--without", "watchdog")
        assert [path.name for path in root.rglob("edged-*.dtbo")] == ["edged-ina226.dtbo"]

    def test_an_overlay_whose_removal_was_interrupted_goes_in_the_next_run(
        self, system: System, tmp_path: Path
    ) -> None:
        root = system(tmp_path, "rock-5b")
        install(root, "rock-5b")
        (cap,) = root.rglob("edged-npu-cap.dtbo")
        blob_of_cap = cap.read_bytes()
        install(root, "rock-5b", "--without", "npu-cap")
        cap.write_bytes(blob_of_cap)
        install(root, "rock-5b", "--without", "npu-cap")
        assert not cap.exists()

    def test_a_mainline_kernel_refuses_the_cap_and_nothing_is_written(
        self, system: System, tmp_path: Path
    ) -> None:
        root = system(tmp_path, "rock-5b", "mainline")
        before = contents(root)
        done = install(root, "rock-5b")
        assert (done.returncode, "--without npu-cap" in done.stderr) == (1, True)
        assert contents(root) == before

    def test_a_mainline_kernel_takes_the_others(self, system: System, tmp_path: Path) -> None:
        root = system(tmp_path, "rock-5b", "mainline")
        assert install(root, "rock-5b", "--without", "npu-cap").returncode == 0

    def test_it_says_how_to_recover(self, system: System, tmp_path: Path) -> None:
        done = install(system(tmp_path, "rock-5b"), "rock-5b")
        assert "tools/install-firmware-config rock-5b --revert --root" in done.stdout
        assert str(BACKUPS) in done.stdout

    def test_a_tree_of_another_board_is_refused(self, system: System, tmp_path: Path) -> None:
        root = system(tmp_path, "rock-5b")
        blob("orangepi-5", next(root.rglob("rk3588-rock-5b.dtb")))
        done = install(root, "rock-5b")
        assert (done.returncode, "tree of rockchip,rk3588s-orangepi-5" in done.stderr) == (1, True)

    def test_a_running_kernel_of_another_board_is_believed(
        self, system: System, tmp_path: Path
    ) -> None:
        root = system(tmp_path, "rock-5b")
        running_on(root, "radxa,rock-5a")
        done = install(root, "rock-5b")
        assert (done.returncode, "radxa,rock-5a" in done.stderr) == (1, True)

    def test_a_damaged_tree_is_refused(self, system: System, tmp_path: Path) -> None:
        root = system(tmp_path, "rock-5b")
        tree = next(root.rglob("rk3588-rock-5b.dtb"))
        tree.write_bytes(tree.read_bytes()[:200])
        done = install(root, "rock-5b")
        assert (done.returncode, "is no device tree" in done.stderr) == (1, True)

    def test_a_file_edited_since_is_kept(self, system: System, tmp_path: Path) -> None:
        root = system(tmp_path, "rock-5b")
        install(root, "rock-5b")
        mine = write(root / "etc/sysctl.d/zz-edged.conf", "vm.swappiness = 60\n")
        assert "was edited since: kept" in install(root, "rock-5b").stdout
        install(root, "rock-5b", "--revert")
        assert mine.read_text() == "vm.swappiness = 60\n"


def test_overlays_of_others_stay_and_come_first(tmp_path: Path) -> None:
    root = armbian(tmp_path, "orangepi-5", env="overlays=fan\nuser_overlays=lcd\n")
    foreign_overlay(root / f"boot/dtb-{VERSION}/rockchip/overlay/rk35xx-fan.dtbo")
    foreign_overlay(root / "boot/overlay-user/lcd.dtbo")
    install(root, "orangepi-5")
    assert setting(root, "user_overlays") == ["lcd", "edged-ina226", "edged-npu-cap"]
    assert setting(root, "overlays") == ["fan"]


def test_an_overlay_enabled_before_that_fails_is_named(tmp_path: Path) -> None:
    root = armbian(tmp_path, "orangepi-5", env="user_overlays=bad\n")
    foreign_overlay(root / "boot/overlay-user/bad.dtbo", label="no_such_label")
    done = install(root, "orangepi-5")
    assert (done.returncode, "an overlay enabled before" in done.stderr) == (1, True)


def test_lines_added_later_to_armbians_settings_survive_a_revert(tmp_path: Path) -> None:
    root = armbian(tmp_path, "orangepi-5")
    before = (root / ENV).read_text()
    install(root, "orangepi-5")
    write(root / ENV, (root / ENV).read_text() + "console=serial\n")
    install(root, "orangepi-5", "--revert")
    assert (root / ENV).read_text() == f"{before}console=serial\n"


def test_armbians_zram_gets_lines_at_the_end_and_loses_them_again(tmp_path: Path) -> None:
    root = armbian(tmp_path, "orangepi-5")
    file = root / "etc/default/armbian-zram-config"
    before = file.read_text()
    install(root, "orangepi-5")
    shell = f". {file}; echo $ENABLED $ZRAM_PERCENTAGE $MEM_LIMIT_PERCENTAGE"
    sourced = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert sourced.stdout.split() == ["true", "12", "12"]
    install(root, "orangepi-5", "--revert")
    assert file.read_text() == before


def test_an_armbian_that_does_not_name_its_tree_is_refused(tmp_path: Path) -> None:
    root = armbian(tmp_path, "orangepi-5")
    write(root / ENV, "verbosity=1\n")
    done = install(root, "orangepi-5")
    assert (done.returncode, "has no fdtfile=" in done.stderr) == (1, True)


def test_an_armbian_that_boots_by_extlinux_is_refused(tmp_path: Path) -> None:
    root = armbian(tmp_path, "orangepi-5")
    write(root / "boot/extlinux/extlinux.conf", "label l0\n")
    done = install(root, "orangepi-5")
    assert (done.returncode, "By hand" in done.stderr) == (1, True)


def test_an_armbian_whose_boot_script_knows_no_overlays_is_refused(tmp_path: Path) -> None:
    root = armbian(tmp_path, "orangepi-5")
    write(root / "boot/boot.cmd", "booti\n")
    done = install(root, "orangepi-5")
    assert (done.returncode, "takes no overlays" in done.stderr) == (1, True)


def test_radxa_os_tries_the_tree_that_the_default_entry_names(tmp_path: Path) -> None:
    root = radxa_os(tmp_path)
    tree = f"/usr/lib/linux-image-{RADXA_VERSION}/rockchip/rk3588-rock-5b.dtb"
    write(root / "boot/extlinux/extlinux.conf", extlinux(f"fdt {tree}"))
    assert f"boots {root}{tree}" in install(root, "rock-5b").stdout


def test_a_radxa_os_without_extlinux_is_refused(tmp_path: Path) -> None:
    root = radxa_os(tmp_path)
    (root / "boot/extlinux/extlinux.conf").unlink()
    assert install(root, "rock-5b").returncode == 1


def test_a_radxa_os_that_turned_u_boot_update_off_is_refused(tmp_path: Path) -> None:
    root = radxa_os(tmp_path)
    write(root / "etc/default/u-boot", "U_BOOT_UPDATE=false\n")
    done = install(root, "rock-5b")
    assert (done.returncode, "u-boot-update off" in done.stderr) == (1, True)


def test_an_unknown_system_is_shown_the_way_by_hand(tmp_path: Path) -> None:
    write(tmp_path / "boot/orangepiEnv.txt", "overlay_prefix=rk3588\n")
    done = install(tmp_path, "orangepi-5")
    assert (done.returncode, "firmware-config/README.md" in done.stderr) == (1, True)


def test_an_unknown_board_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    done = install(armbian(tmp_path, "rock-5b"), "rock-6x")
    assert (done.returncode, "orangepi-5, rock-5b, nanopi-r6s" in done.stderr) == (1, True)


def test_an_unknown_overlay_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    done = install(armbian(tmp_path, "rock-5b"), "rock-5b", "--without", "cap")
    assert (done.returncode, "ina226, npu-cap, watchdog" in done.stderr) == (1, True)


def test_the_tool_runs_with_the_systems_own_python(tmp_path: Path) -> None:
    done = install_as_a_person_does(armbian(tmp_path, "rock-5b"), "rock-5b", programs())
    assert (done.returncode, done.stderr) == (0, "")
    assert "Reboot the board" in done.stdout


def test_without_dtc_the_package_is_named(tmp_path: Path) -> None:
    root = armbian(tmp_path / "root", "rock-5b")
    path = tmp_path / "path"
    path.mkdir()
    (path / "python3").symlink_to(sys.executable)
    for name in ("bash", "env", "dirname", "readlink"):
        found = shutil.which(name)
        assert found is not None
        (path / name).symlink_to(found)
    done = install_as_a_person_does(root, "rock-5b", {"PATH": str(path)})
    assert (done.returncode, "apt-get install device-tree-compiler" in done.stderr) == (1, True)


def test_a_missing_group_is_said_until_it_is_there(tmp_path: Path) -> None:
    root = armbian(tmp_path, "rock-5b")
    assert "no group edged yet" in install(root, "rock-5b", "--dry-run").stdout
    write(root / "etc/group", "root:x:0:\nedged:x:991:\n")
    assert "no group edged yet" not in install(root, "rock-5b", "--dry-run").stdout


def test_a_revert_of_nothing_says_so(tmp_path: Path) -> None:
    assert "Nothing is installed" in install(tmp_path, "rock-5b", "--revert").stdout


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    root = armbian(tmp_path, "rock-5b")
    write(root / str(RECORD), "{")
    done = install(root, "rock-5b", "--revert")
    assert (done.returncode, "is damaged" in done.stderr) == (1, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_whoever_may_not_write_is_told_to_be_root(tmp_path: Path) -> None:
    root = armbian(tmp_path, "rock-5b")
    root.chmod(0o500)
    done = install(root, "rock-5b")
    root.chmod(0o700)
    assert (done.returncode, "run it as root" in done.stderr) == (1, True)


@dataclass(frozen=True, slots=True)
class Ended:
    """How the installer ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def install(root: Path, board: str, *options: str) -> Ended:
    """Run the installer on another root, in this process."""
    said, complained = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, programs()),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complained),
    ):
        code = main([board, "--root", str(root), *options])
    return Ended(code, said.getvalue(), complained.getvalue())


def install_as_a_person_does(
    root: Path, board: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the tool itself."""
    command = [str(ROOT / "tools/install-firmware-config"), board, "--root", str(root)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def setting(root: Path, key: str) -> list[str]:
    """Return the words of a key of armbianEnv.txt, as U-Boot reads it: the last line counts."""
    lines = (root / ENV).read_text().splitlines()
    found = [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]
    return found[-1].split()
