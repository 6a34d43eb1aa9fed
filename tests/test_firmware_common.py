"""The files that every board gets mean to Debian 12's own programs what their comments say.

udev's rules: `test_firmware_common_udev`.
"""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from edged.config import Config
from tools.firmware_config.boards import FIRMWARE

ETC = FIRMWARE / "common" / "all" / "etc"
SYSTEMD = Path("/lib/systemd/systemd")
JOURNALD = Path("/lib/systemd/systemd-journald")

CLOCKS = [
    "[Service]",
    "ReadWritePaths=-/sys/devices/system/cpu/cpufreq",
    "ReadWritePaths=-/sys/devices/platform/dmc/devfreq",
    "ReadWritePaths=-/sys/devices/platform/fdab0000.npu/devfreq",
    "ReadWritePaths=-/sys/devices/platform/27700000.npu/devfreq",
]
# What each unit may touch on a board. Addresses: rk3588s.dtsi and rk3576.dtsi, npu and i2c nodes.
OPENED = {
    "edged.service": [
        *CLOCKS,
        "ReadWritePaths=-/sys/devices/platform/fead0000.i2c",
        "ReadWritePaths=-/sys/devices/platform/feca0000.i2c",
        "ReadWritePaths=-/sys/devices/platform/2ac70000.i2c",
    ],
    "edged-engine.service": [
        *CLOCKS,
        "[Service]",
        "SupplementaryGroups=video render",
        "PrivateDevices=no",
        "DeviceAllow=char-drm rw",
        "DeviceAllow=char-accel rw",
        "DeviceAllow=char-dma_heap rw",
        "DeviceAllow=/dev/rknpu rw",
        "ReadWritePaths=-/run/lock/edged-npu.lock",
        "SystemCallFilter=sched_setaffinity",
    ],
}

needs_systemd = pytest.mark.skipif(not SYSTEMD.exists(), reason="systemd is not installed here")
needs_tmpfiles = pytest.mark.skipif(
    shutil.which("systemd-tmpfiles") is None, reason="systemd-tmpfiles is not installed here"
)


@needs_systemd
def test_systemd_takes_the_watchdogs_settings() -> None:
    assert about_manager_settings("") == []


@needs_systemd
def test_systemd_does_say_something_about_a_setting_that_is_none() -> None:
    assert len(about_manager_settings("RuntimeWatchdog=20s\n")) == 1


def test_the_watchdogs_times_are_below_what_the_hardware_can_count() -> None:
    # dw_wdt counts up to 2^31 ticks of 24 MHz. Source: drivers/watchdog/dw_wdt.c; both SoCs' tclk.
    settings = ini("systemd/system.conf.d/70-edged-watchdog.conf")["Manager"]
    assert all(int(value.removesuffix("s")) < 2**31 / 24e6 for value in settings.values())


@pytest.mark.skipif(not JOURNALD.exists(), reason="systemd-journald is not installed here")
def test_journald_knows_every_setting() -> None:
    program = JOURNALD.read_bytes()
    keys = list(ini("systemd/journald.conf.d/70-edged.conf")["Journal"])
    assert [key for key in keys if f"Journal.{key}\0".encode() not in program] == []
    assert b"Journal.SystemMaximumUse\0" not in program


@needs_systemd
@pytest.mark.parametrize("unit", ["edged.service", "edged-engine.service"])
def test_systemd_has_nothing_to_say_about_a_units_drop_ins(unit: str, tmp_path: Path) -> None:
    (tmp_path / unit).write_text("[Service]\nExecStart=/bin/true\n")
    shutil.copytree(ETC / f"systemd/system/{unit}.d", tmp_path / f"{unit}.d")
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("unit", ["edged.service", "edged-engine.service"])
def test_a_units_drop_ins_open_what_the_board_needs_and_nothing_else(unit: str) -> None:
    files = sorted((ETC / f"systemd/system/{unit}.d").iterdir())
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert sorted(line for line in lines if line and not line.startswith("#")) == sorted(
        OPENED[unit]
    )


def test_this_kernel_has_every_sysctl() -> None:
    keys = sysctls()
    assert [key for key in keys if not proc_sys(key).exists()] == []
    assert len(keys) == len(set(keys)) > 0


@pytest.mark.skipif(shutil.which("sysctl") is None, reason="sysctl (procps) is not installed here")
def test_sysctl_reads_the_file_as_it_stands() -> None:
    file = ETC / "sysctl.d/zz-edged.conf"
    command = ["sysctl", "--dry-run", "-p", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    assert (done.stdout.splitlines(), done.stderr) == (lines, "")


@needs_tmpfiles
def test_edged_may_write_the_clock_limit_of_each_cluster(tmp_path: Path) -> None:
    folders = [tmp_path / f"sys/devices/system/cpu/cpufreq/policy{n}" for n in (0, 4, 6)]
    for folder in folders:
        folder.mkdir(parents=True)
        for name in ("scaling_max_freq", "scaling_governor"):
            (folder / name).touch(mode=0o644)
    fake_users(tmp_path, edged=os.getgid())
    rules = ETC / "tmpfiles.d/edged-cpufreq.conf"
    subprocess.run(["systemd-tmpfiles", f"--root={tmp_path}", "--create", str(rules)], check=True)
    assert [modes(folder) for folder in folders] == [(0o664, 0o644)] * 3


@needs_tmpfiles
def test_the_lock_of_the_npu_is_there_from_boot_on_and_is_the_one_that_edged_takes(
    tmp_path: Path,
) -> None:
    fake_users(tmp_path, edged=os.getgid())
    rules = ETC / "tmpfiles.d/edged-npu-lock.conf"
    subprocess.run(["systemd-tmpfiles", f"--root={tmp_path}", "--create", str(rules)], check=True)
    made = tmp_path / str(Config().npu_lock).lstrip("/")
    assert made.is_file()
    assert stat_mode(made) == 0o660
    assert f"ReadWritePaths=-{Config().npu_lock}" in OPENED["edged-engine.service"]


@pytest.mark.skipif(
    shutil.which("modprobe") is None, reason="modprobe (kmod) is not installed here"
)
def test_modprobe_reads_the_option() -> None:
    file = ETC / "modprobe.d/edged.conf"
    command = ["modprobe", f"--config={file}", "--showconfig"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "options dw_wdt nowayout=1" in done.stdout.splitlines()


def test_the_generator_of_compressed_swap_is_told_one_device() -> None:
    # Source: zram-generator.conf(5), 1.1.2: a section for each device, named as the device.
    told = ini("../../radxa-os/etc/systemd/zram-generator.conf.d/edged.conf")
    assert {name: list(told[name]) for name in told.sections()} == {"zram0": ["zram-size"]}


def about_manager_settings(extra: str) -> list[str]:
    """Return what systemd says about the watchdog's file when it reads it as a configuration.

    PID 1 reads the same table of settings from system.conf as a user's manager from user.conf,
    and the latter can be tried. It does not let root try, so root takes another user's id.
    """
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    command = [*(as_nobody if os.geteuid() == 0 else []), str(SYSTEMD)]
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        file = Path(home) / "systemd" / "user.conf"
        file.parent.mkdir()
        settings = (ETC / "systemd/system.conf.d/70-edged-watchdog.conf").read_text()
        file.write_text(settings + extra)
        places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"), home)
        done = subprocess.run(
            [*command, "--test", "--user", "--no-pager", "--unit=none.target"],
            env={"PATH": os.environ["PATH"], **places},
            capture_output=True,
            text=True,
            check=False,
        )
    # It ends with this sentence, so the configuration was read.
    assert "Unit none.target not found." in done.stderr, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith(str(file))]


def fake_users(root: Path, edged: int) -> None:
    """Write users and groups in which root is whoever runs this, so that chown succeeds."""
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text(f"root:x:{os.getuid()}:{os.getgid()}::/:/bin/sh\n")
    (root / "etc/group").write_text(f"edged:x:{edged}:\n")


def modes(folder: Path) -> tuple[int, int]:
    """Return the modes of a cluster's clock limit and of its governor."""
    names = ("scaling_max_freq", "scaling_governor")
    limit, governor = (stat_mode(folder / name) for name in names)
    return limit, governor


def stat_mode(path: Path) -> int:
    """Return the permission bits of a file."""
    return path.stat().st_mode & 0o777


def sysctls() -> list[str]:
    """Return the keys of our sysctl file."""
    lines = (ETC / "sysctl.d/zz-edged.conf").read_text().splitlines()
    return [line.split("=")[0].strip() for line in lines if line and not line.startswith("#")]


def proc_sys(key: str) -> Path:
    """Return where the kernel shows a sysctl."""
    return Path("/proc/sys") / key.replace(".", "/")


def ini(name: str) -> configparser.ConfigParser:
    """Return a file of sections and keys, with the keys' case kept."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign] # documented way to keep case
    parser.read(ETC / name)
    return parser
