"""A board's meters and clocks are written down and laid out again, without its secrets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.meters.choose import Wish, choose_meter
from edged.board.meters.dynamic import of_cores
from tests.golden_tree import BOARDS, EACH_BOARD, EAR, TREES, metered, tree
from tests.memory import tmp_path as tmp_path
from tools.sysfs_capture import capture, escaped, lay_out, manifest, plain, read_manifest

TOOL = Path(__file__).parent.parent / "tools" / "capture_sysfs"
EACH_TREE = pytest.mark.parametrize("path", sorted(TREES.glob("*.tree")), ids=lambda one: one.stem)


def captured(root: Path) -> str:
    return manifest(capture(root), "a board")


@EACH_BOARD
def test_a_capture_of_a_capture_is_the_same(tmp_path: Path, board: str) -> None:
    first = captured(metered(tmp_path / "first", board))
    lay_out(first, tmp_path / "second")
    assert captured(tmp_path / "second") == first


@EACH_BOARD
def test_a_capture_tells_edged_what_the_board_does(tmp_path: Path, board: str) -> None:
    wish = Wish(of_cores(2.0, 0.5, 1e9, 0.4))
    root = metered(tmp_path / "board", board)
    lay_out(captured(root), tmp_path / "captured")
    found = [choose_meter(wish, lambda: None, one) for one in (root, tmp_path / "captured")]
    # The first look at the board set its averaging; the copy was taken before.
    assert found[0].why == found[1].why
    assert found[0].passed_over == found[1].passed_over


@EACH_TREE
def test_a_golden_tree_is_a_manifest_in_order(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    folders = [line[1:-1] for line in lines if line.startswith("[")]
    assert folders == sorted(folders)
    assert len(list(read_manifest("\n".join(lines)))) > len(folders)
    assert lines[0].startswith("# ")


@pytest.mark.parametrize("board", BOARDS)
def test_every_link_of_a_board_leads_to_a_folder(tmp_path: Path, board: str) -> None:
    root = metered(tmp_path, board)
    links = [path for path in root.rglob("*") if path.is_symlink()]
    lost = {path.name for path in links if not path.exists()}
    assert lost <= {"driver", "of_node"}  # what they lead to tells edged nothing


def test_no_secret_of_the_board_is_opened(tmp_path: Path) -> None:
    root = metered(tmp_path, "rock_5b")
    secrets = {
        "firmware/devicetree/base/serial-number": "8a1f6e5c",
        "class/net/eth0/address": "de:ad:be:ef:00:01",
        "class/power_supply/battery/serial_number": "8a1f6e5c",
        "class/dmi/id/product_uuid": "8a1f6e5c",
        "class/hwmon/hwmon9/serial": "8a1f6e5c",
    }
    for name, text in secrets.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "class/hwmon/hwmon9/name").write_text("nvme\n")
    with EAR.listening() as opened:
        text = captured(root)
    assert [path for path in opened if any(path.endswith(name) for name in secrets)] == []
    assert not any(secret in text for secret in secrets.values())


def test_nothing_that_powers_the_npu_up_is_captured(tmp_path: Path) -> None:
    root = metered(tmp_path, "rock_5b")
    (root / "kernel/debug/rknpu").mkdir(parents=True)
    os.mkfifo(root / "kernel/debug/rknpu/freq")
    os.mkfifo(root / "devices/platform/fdab0000.npu/devfreq/fdab0000.npu/extra_freq")
    with EAR.listening() as opened:
        captured(root)
    assert [path for path in opened if "debug" in path or "extra" in path] == []


def test_a_link_that_leads_out_of_the_tree_is_left_alone(tmp_path: Path) -> None:
    root = tree(tmp_path / "sys", "nanopi_r6s")
    (tmp_path / "name").write_text("a secret\n")
    (root / "class/hwmon/hwmon9").symlink_to(tmp_path)
    assert "secret" not in captured(root)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Zl", "Zp", "Cc"]) | st.just("\0")))
def test_a_value_comes_back_as_it_was(text: str) -> None:
    assert plain(escaped(text + "\nmore\\n")) == text + "\nmore\\n"


@pytest.mark.parametrize("line", ["max_freq = 1", "[a]\nnothing", "[a]\nname of 3"])
def test_a_line_that_is_none_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="neither a folder, a file nor a link"):
        list(read_manifest(line))


def test_the_tool_writes_a_manifest_of_a_folder(tmp_path: Path) -> None:
    root = tree(tmp_path, "orangepi_5")
    command = [str(TOOL), "--root", str(root), "--title", "a board"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == captured(root)


def test_the_tool_writes_a_manifest_of_this_machine() -> None:
    done = subprocess.run([TOOL], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    list(read_manifest(done.stdout))


def test_the_tool_needs_no_package(tmp_path: Path) -> None:
    source = (TOOL.parent / "sysfs_capture.py").read_text()
    (tmp_path / "alone.py").write_text(source)
    command = [
        "python3",
        "-I",
        "-S",
        str(tmp_path / "alone.py"),
        "--root",
        str(tree(tmp_path / "s", "sige5")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("# ArmSoM Sige5, kernel ")
