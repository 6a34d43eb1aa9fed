"""The rules that every board gets open devices to the groups that need them, and to no others.

Method: Debian 12's udevadm runs them on a sysfs of our own, in mounts of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.device_trees import programs
from tools.firmware_config.boards import FIRMWARE

RULES = FIRMWARE / "common" / "all" / "etc" / "udev" / "rules.d" / "70-edged-npu.rules"
# The group numbers that the fake system gives.
VIDEO, RENDER, EDGED = 44, 992, 991


def namespace_works() -> bool:
    """Return whether a process may have mounts of its own here."""
    return subprocess.run([*own_mounts(), "true"], capture_output=True, check=False).returncode == 0


def own_mounts() -> list[str]:
    """Return the command that starts another one with mounts of its own."""
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *as_root]


needs_udevadm = pytest.mark.skipif(
    shutil.which("udevadm", path=programs()["PATH"]) is None or not namespace_works(),
    reason="udevadm (Debian: udev), or a mount namespace to run it in, is missing here",
)


@needs_udevadm
class TestUdev:
    """udevadm runs the rules on a sysfs of our own, with the boards' devices in it."""

    @pytest.mark.parametrize("address", ["fdab0000", "27700000"])
    def test_the_npus_nodes_get_their_groups_by_driver(self, address: str, tmp_path: Path) -> None:
        device = npu(tmp_path, address)
        card = drm_node(device, "card1", 1)
        render = drm_node(device, "renderD130", 130)
        assert (group_of(tmp_path, card), group_of(tmp_path, render)) == (VIDEO, RENDER)

    @pytest.mark.parametrize("name", ["card1", "renderD130"])
    def test_the_npus_nodes_are_closed_to_all_others(self, name: str, tmp_path: Path) -> None:
        assert mode_of(tmp_path, drm_node(npu(tmp_path, "fdab0000"), name, 130)) == 0o660

    def test_another_drivers_node_keeps_its_group(self, tmp_path: Path) -> None:
        device = platform_device(tmp_path, "fb000000.gpu", "panthor")
        assert group_of(tmp_path, drm_node(device, "renderD128", 128)) is None

    def test_the_npu_of_mainline_and_the_one_without_drm_are_for_render(
        self, tmp_path: Path
    ) -> None:
        rocket = platform_device(tmp_path, "fdab0000.npu", "rocket")
        accel = class_device(tmp_path, rocket / "accel", "accel0", "accel", node(261, 0))
        misc = class_device(tmp_path, tmp_path / "devices/misc", "rknpu", "misc", node(10, 60))
        assert (group_of(tmp_path, accel), group_of(tmp_path, misc)) == (RENDER, RENDER)
        assert (mode_of(tmp_path, accel), mode_of(tmp_path, misc)) == (0o660, 0o660)

    def test_a_dma_heap_is_for_video(self, tmp_path: Path) -> None:
        heap = class_device(tmp_path, tmp_path / "devices/x", "system", "dma_heap", node(250, 0))
        assert (group_of(tmp_path, heap), mode_of(tmp_path, heap)) == (VIDEO, 0o660)

    @pytest.mark.parametrize(
        ("name", "driver"), [("fdab0000.npu", "RKNPU"), ("dmc", "rockchip-dmc")]
    )
    def test_edged_may_write_a_clock_limit_and_nothing_else(
        self, name: str, driver: str, tmp_path: Path
    ) -> None:
        clocks = devfreq(tmp_path, platform_device(tmp_path, name, driver))
        assert commands(tmp_path, clocks) == made_writable(tmp_path, clocks, "max_freq")

    def test_a_device_that_goes_away_is_left_alone(self, tmp_path: Path) -> None:
        clocks = devfreq(tmp_path, npu(tmp_path, "fdab0000"))
        assert commands(tmp_path, clocks, action="remove") == []

    def test_the_clock_limit_of_the_gpu_stays_roots(self, tmp_path: Path) -> None:
        gpu = devfreq(tmp_path, platform_device(tmp_path, "fb000000.gpu", "panthor"))
        assert commands(tmp_path, gpu) == []

    @pytest.mark.parametrize(
        ("driver", "files"),
        [
            ("ina2xx", ["update_interval"]),
            ("ina3221", ["update_interval", "samples"]),
            ("ina238", []),
            ("tcpm", []),
        ],
    )
    def test_edged_may_write_how_long_the_meter_averages(
        self, driver: str, files: list[str], tmp_path: Path
    ) -> None:
        chip = platform_device(tmp_path, "fead0000.i2c", driver)
        node = class_device(tmp_path, chip / "hwmon", "hwmon2", "hwmon", "")
        for name in files:
            (node / name).touch()
        wanted = [line for name in files for line in made_writable(tmp_path, node, name)]
        assert commands(tmp_path, node) == wanted

    def test_udev_has_nothing_to_say_about_the_rules(self, tmp_path: Path) -> None:
        said = udevadm(tmp_path, devfreq(tmp_path, npu(tmp_path, "fdab0000")))
        assert complaints(said) == []

    def test_udev_does_say_something_about_a_rule_that_is_none(self, tmp_path: Path) -> None:
        device = devfreq(tmp_path, npu(tmp_path, "fdab0000"))
        assert complaints(udevadm(tmp_path, device, extra='SUBSISTEM=="drm", MODE="0660"\n')) != []


def npu(sysfs: Path, address: str) -> Path:
    """Lay out the NPU as the vendor's driver shows it."""
    return platform_device(sysfs, f"{address}.npu", "RKNPU")


def platform_device(sysfs: Path, name: str, driver: str) -> Path:
    """Lay out a device of the SoC and the driver that took it."""
    folder = sysfs / "bus/platform/drivers" / driver
    folder.mkdir(parents=True, exist_ok=True)
    device = sysfs / "devices/platform" / name
    device.mkdir(parents=True, exist_ok=True)
    (device / "uevent").write_text(f"DRIVER={driver}\n")
    link(device / "driver", folder)
    link(device / "subsystem", sysfs / "bus/platform")
    return device


def drm_node(device: Path, name: str, minor: int) -> Path:
    """Lay out a DRM node of a device."""
    sysfs = device.parents[2]
    events = f"{node(226, minor)}DEVTYPE=drm_minor\n"
    return class_device(sysfs, device / "drm", name, "drm", events)


def devfreq(sysfs: Path, device: Path) -> Path:
    """Lay out the clocks of a device; they have no node, and the name of the device."""
    return class_device(sysfs, device / "devfreq", device.name, "devfreq", "")


def class_device(sysfs: Path, above: Path, name: str, subsystem: str, events: str) -> Path:
    """Lay out a device of a class."""
    device = above / name
    device.mkdir(parents=True)
    (device / "uevent").write_text(events)
    (sysfs / "class" / subsystem).mkdir(parents=True, exist_ok=True)
    link(device / "subsystem", sysfs / "class" / subsystem)
    return device


def node(major: int, minor: int) -> str:
    """Return the lines of a uevent file that a device with a node has."""
    return f"MAJOR={major}\nMINOR={minor}\nDEVNAME=x{major}-{minor}\n"


def link(path: Path, target: Path) -> None:
    """Make a relative link, as sysfs has them."""
    if not path.is_symlink():
        path.symlink_to(os.path.relpath(target, path.parent))


def udevadm(sysfs: Path, device: Path, extra: str = "", action: str = "add") -> list[str]:
    """Return what udevadm says while it runs our rules, and no others, on an event of a device.

    Everything happens on mounts of its own: /sys is our folder, /dev, /run and the folders of
    other rules are empty.
    """
    rules = RULES.read_text() + extra
    (sysfs / "70-edged-npu.rules").write_text(rules)
    groups = f"root:x:0:\nvideo:x:{VIDEO}:\nrender:x:{RENDER}:\nedged:x:{EDGED}:\n"
    (sysfs / "group").write_text(groups)
    script = f"""
        mount --bind {sysfs}/group /etc/group
        mount -t tmpfs tmpfs /run && mkdir -p /run/udev/rules.d
        cp {sysfs}/70-edged-npu.rules /run/udev/rules.d/
        for place in /usr/lib/udev/rules.d /etc/udev/rules.d; do
            if [ -d $place ]; then mount -t tmpfs tmpfs $place; fi
        done
        mkdir /run/null && touch /run/null/null && mount --bind /dev/null /run/null/null
        mount --rbind /run/null /dev
        mount --rbind {sysfs} /sys
        exec udevadm test --action={action} /sys/{device.relative_to(sysfs)}
    """
    environment = {**programs(), "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"}
    command = [*own_mounts(), "sh", "-euc", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).splitlines()
    assert any("Reading rules file: /run/udev/rules.d/70-edged" in line for line in said), said
    return said


def group_of(sysfs: Path, device: Path) -> int | None:
    """Return the group that our rules give a device's node."""
    told = set_by_rules(sysfs, device, "GROUP")
    return None if told is None else int(told)


def mode_of(sysfs: Path, device: Path) -> int | None:
    """Return the permission bits that our rules give a device's node."""
    told = set_by_rules(sysfs, device, "MODE")
    return None if told is None else int(told, 8)


def set_by_rules(sysfs: Path, device: Path, what: str) -> str | None:
    """Return what our rules set last, as udevadm tells it; None where they do not."""
    said = udevadm(sysfs, device)
    lines = [line for line in said if ": /run/udev" in line and f" {what} " in line]
    return lines[-1].rsplit(" ", 1)[1] if lines else None


def commands(sysfs: Path, device: Path, action: str = "add") -> list[str]:
    """Return the commands that udev would run."""
    said = udevadm(sysfs, device, action=action)
    marks = [line for line in said if line.startswith("run: '")]
    return [line.removeprefix("run: '").removesuffix("'") for line in marks]


def made_writable(sysfs: Path, device: Path, name: str) -> list[str]:
    """Return the two commands that give edged's group a file."""
    path = f"/sys/{device.relative_to(sysfs)}/{name}"
    return [f"/bin/chgrp edged {path}", f"/bin/chmod g+w {path}"]


def complaints(said: Sequence[str]) -> list[str]:
    """Return the lines with which udev finds fault with a file of rules."""
    return [line for line in said if line.startswith("/run/udev/rules.d/70-edged")]
