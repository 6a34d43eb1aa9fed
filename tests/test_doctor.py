"""`edged doctor` as an owner runs it: on each golden tree, beside an engine, on a broken board."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.__main__ import main
from edged.doctor import person
from edged.doctor.board import FIRMWARE
from edged.doctor.examine import examine
from edged.doctor.finding import Finding
from edged.doctor.report import Report
from edged.doctor.root import Root
from edged.power.table import FILE as TABLE
from tests.doctor_fixtures import board as golden
from tests.doctor_fixtures import examined, levels, library, says, with_npu, write
from tests.engine_fixtures import Daemon, engine_process, work, write_config
from tests.golden_tree import BOARDS, EACH_BOARD, EAR
from tests.memory import tmp_path as tmp_path
from tests.rkllm_fixtures import FORMAT
from tools.firmware_config.boards import BOARDS as FIRMWARE_BOARDS

TREES = pytest.mark.parametrize(
    "names", [*((name, f"{name}.{chip}") for name, chip in BOARDS.items()), ("x86",), ()], ids=str
)
ALONE = "[engine]\nbackend = 'sim'\n[broker]\nport = 9\n"
# Each mend has a command, or the key to set.
DO = re.compile(r"(^|`)(sudo |edged |tools/|ulimit |ls )|\bset [a-z]+\.[a-z_]+")
ON_NPU = "[engine]\nbackend = 'rkllm'\n[broker]\nport = 9\n"
ON_EACH_WAY = (
    ON_NPU,
    "[engine]\nbackend = 'rknn'\n[broker]\nport = 9\n",
    "[npu]\nlibrary = '/opt/edged/npu/libggml-npu.so'\n[broker]\nport = 9\n",
)


@pytest.fixture(autouse=True)
def no_user_of_the_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """What root asks is answered for the units' user, whom a machine with edged installed has."""
    monkeypatch.setattr(person, "SERVICE_USER", "on-no-machine")


def written(folder: Path, text: str, state_dir: Path | None = None) -> Path:
    path = folder / "edged.toml"
    path.write_text(f"[node]\nstate_dir = '{state_dir or folder / 'state'}'\n{text}")
    return path


@TREES
def test_each_board_serves_without_its_npu(tmp_path: Path, names: tuple[str, ...]) -> None:
    report = examined(written(tmp_path, ALONE), golden(tmp_path / "root", *names))
    assert [one for one in report.findings if one.level == "error"] == []
    assert report.exit_code == 0


@TREES
@pytest.mark.parametrize("text", [ALONE, *ON_EACH_WAY])
def test_every_error_and_warning_says_what_to_do(
    tmp_path: Path, names: tuple[str, ...], text: str
) -> None:
    report = examined(written(tmp_path, text), golden(tmp_path / "root", *names))
    for one in report.findings:
        assert (one.level == "ok") == (one.mend is None), one
        assert one.mend is None or DO.search(one.mend), one
    assert (report.exit_code == 0) == (text == ALONE)


@TREES
def test_nothing_is_written(tmp_path: Path, names: tuple[str, ...]) -> None:
    root = golden(tmp_path / "root", *names)
    before = contents(tmp_path)
    config = written(tmp_path, ALONE)
    examined(config, root)
    config.unlink()
    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@EACH_BOARD
def test_nothing_that_would_wake_the_npu_is_opened(tmp_path: Path, board: str) -> None:
    root = golden(tmp_path / "root", board)
    with_npu(root)
    with EAR.listening() as opened:
        examined(written(tmp_path, ON_NPU), root)
    assert [path for path in opened if "debug" in path or path.endswith("/dev/rknpu")] == []


def test_a_vendor_board_with_its_library_and_model_can_serve_on_the_npu(tmp_path: Path) -> None:
    root = golden(tmp_path / "root", "rock_5b", "rock_5b.ina228")
    with_npu(root).chmod(0o666)
    runtime = library(root, "librkllmrt.so", b"rkllm-runtime version: 1.3.0\0")
    config = written(tmp_path, f"{ON_NPU}[rkllm]\nlibrary = '{runtime}'\n{rkllm_model(tmp_path)}")
    report = examined(config, root)
    assert [one for one in report.findings if one.level == "error"] == []
    assert report.exit_code == 0


def test_a_mainline_board_cannot_serve_on_the_npu(tmp_path: Path) -> None:
    root = golden(tmp_path / "root", "mainline")
    write(root, "/dev/accel/accel0")
    report = examined(written(tmp_path, ON_NPU + rkllm_model(tmp_path)), root)
    assert (levels(report.findings, "kernel"), report.exit_code) == (["error"], 69)
    assert "rocket" in says(report.findings, "kernel")


def test_a_mainline_board_serves_on_its_cpu(tmp_path: Path) -> None:
    root = golden(tmp_path / "root", "mainline")
    write(root, "/dev/accel/accel0")
    report = examined(written(tmp_path, ALONE), root)
    assert (levels(report.findings, "kernel"), report.exit_code) == (["warning"], 0)


def break_library(root: Root, folder: Path) -> None:
    root.at("/usr/lib/librkllmrt.so").unlink()


def break_version(root: Root, folder: Path) -> None:
    library(root, "librkllmrt.so", b"rkllm-runtime version: 1.2.3")


def break_driver(root: Root, folder: Path) -> None:
    write(root, "/sys/module/rknpu/version", "0.9.2")


def break_node(root: Root, folder: Path) -> None:
    root.at("/dev/dri/renderD129").unlink()


def break_kernel(root: Root, folder: Path) -> None:
    (root.sys / "devices/platform/fdab0000.npu/driver").unlink()
    (root.sys / "class/devfreq/fdab0000.npu").unlink()
    (root.sys / "module/rknpu/version").unlink()
    (root.sys / "module/rknpu").rmdir()
    write(root, "/dev/accel/accel0")


def break_memory(root: Root, folder: Path) -> None:
    write(root, "/proc/meminfo", "MemAvailable: 1000 kB\n")


def break_lock(root: Root, folder: Path) -> None:
    (folder / "npu.lock").touch()
    inode = (folder / "npu.lock").stat().st_ino
    write(root, "/proc/locks", f"1: FLOCK  ADVISORY  WRITE 12 08:01:{inode} 0 EOF\n")


def break_model(root: Root, folder: Path) -> None:
    (folder / "m.rkllm").unlink()


def break_soc(root: Root, folder: Path) -> None:
    (folder / "m.rkllm").rename(folder / "m-rk3576.rkllm")
    config = folder / "edged.toml"
    config.write_text(config.read_text().replace("m.rkllm", "m-rk3576.rkllm"))


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (break_library, "rkllm"),
        (break_version, "rkllm"),
        (break_driver, "driver"),
        (break_node, "npu-node"),
        (break_kernel, "kernel"),
        (break_memory, "model"),
        (break_lock, "npu-lock"),
        (break_model, "model"),
        (break_soc, "npu"),
    ],
)
def test_whatever_keeps_the_npu_from_serving_is_an_error_of_its_own_line(
    tmp_path: Path, broken: Callable[[Root, Path], None], name: str
) -> None:
    root = golden(tmp_path / "root", "rock_5b", "rock_5b.ina228")
    with_npu(root).chmod(0o666)
    library(root, "librkllmrt.so", b"rkllm-runtime version: 1.3.0")
    lock = f"[rkllm]\nlock = '{tmp_path}/npu.lock'\n"
    config = written(tmp_path, ON_NPU + lock + rkllm_model(tmp_path))
    assert examined(config, root).exit_code == 0
    broken(root, tmp_path)
    report = examined(config, root)
    assert (levels(report.findings, name), report.exit_code) == (["error"], 69)


def test_the_document_lists_every_line(tmp_path: Path) -> None:
    root = golden(tmp_path / "root", "rock_5b", "rock_5b.ina228")
    with_npu(root)
    config = written(tmp_path, f"{ON_NPU}[rkllm]\nlock = '{tmp_path}/npu.lock'\n")
    break_lock(root, tmp_path)
    config.write_text(config.read_text() + "[model]\npath = '/m-rk3576-v1.2.0.rkllm'\n")
    write(root, "/etc/systemd/system/edged-engine.service", "PrivateDevices=yes")
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state" / TABLE).write_text("no table")
    page = (Path(__file__).parent.parent / "docs/doctor.md").read_text().partition("## Advice")[0]
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")][3:]
    told = [name for row in rows for name in re.findall(r"`([\w-]+)`", row)]
    found = list(dict.fromkeys(one.name for one in examined(config, root).findings))
    assert sorted(told) == sorted(found)


@pytest.mark.skipif(os.geteuid() != 0, reason="anybody but root is answered for himself")
def test_what_root_asks_is_answered_for_the_units_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person, "SERVICE_USER", "nobody")
    report = examine(written(tmp_path, ALONE), golden(tmp_path / "root"))
    assert (levels(report.findings, "state"), report.exit_code) == (["error"], 69)
    assert f"nobody may not write {tmp_path}" in says(report.findings, "state")


def test_commands_name_the_board_where_it_is_known(tmp_path: Path) -> None:
    report = examined(written(tmp_path, ALONE), golden(tmp_path / "root", "rock_5b"))
    told = [one.mend for one in report.findings if one.name == "meter" and one.mend]
    assert "sudo tools/install-firmware-config rock-5b" in told[0]


def test_commands_work_from_any_folder_where_the_package_is_installed(tmp_path: Path) -> None:
    root = golden(tmp_path / "root", "rock_5b")
    root.at("/usr/share/edged").mkdir(parents=True)
    report = examined(written(tmp_path, ALONE), root)
    told = [one.mend for one in report.findings if one.name == "meter" and one.mend]
    assert "sudo /usr/share/edged/tools/install-firmware-config rock-5b" in told[0]
    assert "as /usr/share/edged/firmware-config/README.md shows" in told[0]


def test_the_boards_of_firmware_config_are_known() -> None:
    named = {name: board.name for board in FIRMWARE_BOARDS.values() for name in board.compatible}
    assert named == FIRMWARE


def rkllm_model(folder: Path) -> str:
    (folder / "m.rkllm").write_bytes(b"x" * 1000)
    (folder / "format.toml").write_text(FORMAT)
    return f"[model]\npath = '{folder}/m.rkllm'\nformat = '{folder}/format.toml'\n"


def test_the_exit_code_is_69_when_the_model_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = written(tmp_path, "[model]\npath = '/nowhere.gguf'\n[broker]\nport = 9\n")
    assert main(["doctor", "--config", str(config), "--json"]) == 69
    told = json.loads(capsys.readouterr().out)
    (model,) = [one for one in told["findings"] if one["name"] == "model"]
    assert (told["works"], model["level"], "/nowhere.gguf" in model["says"]) == (
        False,
        "error",
        True,
    )


def test_a_broken_configuration_is_one_error_and_the_rest_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = written(tmp_path, "[broker]\nport = 0\n")
    assert main(["doctor", "--config", str(config), "--state-dir", str(tmp_path)]) == 69
    told = capsys.readouterr().out
    assert "broker.port" in told
    assert f"do: edit {config}" in told
    assert "state      " in told


@pytest.mark.model
def test_it_works_beside_a_running_engine_which_goes_on(tmp_path: Path) -> None:
    config = write_config(tmp_path, engine={"backend": "sim", "lease_s": 60.0}, broker={"port": 9})
    with engine_process(config, tmp_path) as engine:
        daemon = Daemon.connect(engine)
        daemon.ready()
        report = examined(config, Root())
        assert f"an engine runs (process {engine.process.pid})" in says(report.findings, "engine")
        assert report.exit_code == 0
        assert [one.finish for one in daemon.ask(work("a"))] == ["stop"]
        daemon.close()


def test_errors_are_told_with_what_mends_them_below() -> None:
    text = Report((Finding("nodes", "error", "it is closed", "open it"),)).as_text()
    assert text.splitlines() == [
        "error    nodes      it is closed",
        "                    do: open it",
        "edged run would not work: 1 error, no warnings",
    ]
