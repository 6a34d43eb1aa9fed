"""Boards for the doctor: a golden tree as /sys, with the NPU's nodes, libraries and programs.

The trees were captured without DRM nodes; these are laid beside them as rknpu 0.9.8 makes them.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from edged.config import Config, parse
from edged.doctor.examine import examine
from edged.doctor.finding import Finding
from edged.doctor.person import Person
from edged.doctor.report import Report
from edged.doctor.root import Root
from tests.golden_tree import tree

RKLLM_BACKEND = {"engine": {"backend": "rkllm"}}
# Nobody's number here: neither root, nor who runs the tests.
STRANGER = Person("edged", 54_321, frozenset([54_321]))


def board(folder: Path, *names: str) -> Root:
    """Lay manifests out as the /sys of a root."""
    tree(folder / "sys", *names)
    return Root(folder)


def write(root: Root, absolute: str, text: str = "") -> Path:
    """Write a file of the root."""
    path = root.at(absolute)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def with_npu(root: Root, version: str = "0.9.8") -> Path:
    """Give the board the vendor driver's render node; return it."""
    device = root.sys / "devices/platform/fdab0000.npu"
    driver = root.sys / "bus/platform/drivers/RKNPU"
    node = root.sys / "class/drm/renderD129"
    for one in (device, driver, node):
        one.mkdir(parents=True, exist_ok=True)
    (node / "device").symlink_to(device)
    (device / "driver").symlink_to(driver)
    write(root, "/sys/module/rknpu/version", version)
    opened = write(root, "/dev/dri/renderD129")
    opened.chmod(0o660)
    return opened


def library(root: Root, name: str, told: bytes, machine: int = 183) -> Path:
    """Write what begins as a library and holds these bytes somewhere behind."""
    header = b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + struct.pack("<H", machine)
    path = write(root, f"/usr/lib/{name}")
    path.write_bytes(header + b"\0" * 5000 + told + b"\0" * 100)
    return path


def mine() -> Person:
    """Return who runs the tests, as a user whom mode bits bind."""
    return Person("edged", os.geteuid() or 54_321, frozenset(os.getgroups()))


def examined(config_file: Path, root: Root) -> Report:
    """Examine for who runs the tests, whatever users this machine has; root may open all."""
    person = Person("tester", os.geteuid(), frozenset(os.getgroups()))
    return examine(config_file, root, person=person)


def config(table: dict[str, object]) -> Config:
    return parse(dict(table), "test")


def levels(findings: list[Finding] | tuple[Finding, ...], name: str) -> list[str]:
    """Return the levels of one check's lines."""
    return [one.level for one in findings if one.name == name]


def says(findings: list[Finding] | tuple[Finding, ...], name: str) -> str:
    return "; ".join(one.says for one in findings if one.name == name)
