"""Reads and writes single files of /sys, or of a plain directory in its place.

In:  paths below a root, `/sys` or a golden tree.     Out: texts, numbers, and the kernel's errors.
Blocking: an attribute of a chip is an I2C transfer, which can take a second.
Does not know what the files mean. Nothing under `kernel/debug` is ever opened: some files there
power the NPU up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

SYS = Path("/sys")
# Source: Documentation/filesystems/sysfs.rst: an attribute is at most a page.
ATTRIBUTE_BYTES = 4096


def read_text(path: Path) -> str:
    """Return what an attribute says, without the line's end.

    Raises:
        OSError: the kernel's own: ENOENT and ENODEV when the device went away, EIO from a bus.
        ValueError: it says nothing.
    """
    # A pipe in the place of a file must not hold the reader up.
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        text = os.read(opened, ATTRIBUTE_BYTES).decode("utf-8", "replace").strip()
    finally:
        os.close(opened)
    if not text:
        raise ValueError(f"{path} is empty")
    return text


def read_number(path: Path) -> float:
    """Return an attribute that is one number.

    Raises:
        OSError: as `read_text`.
        ValueError: it is none.
    """
    return float(read_text(path))


def write_number(path: Path, number: int) -> None:
    """Write an attribute that is there; a missing one is never made.

    Raises:
        OSError: the kernel's own: EACCES, EPERM, EROFS, EINVAL, ENOENT.
    """
    opened = _open_to_write(path)
    try:
        # One write call: the kernel takes each as a whole value.
        os.write(opened, f"{number}\n".encode())
    finally:
        os.close(opened)


def probe_write(path: Path) -> None:
    """Ask whether an attribute may be written, without writing it.

    Raises:
        OSError: why not.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))


def _open_to_write(path: Path) -> int:
    # O_TRUNC means nothing to sysfs; in a golden tree a shorter number must not leave old digits.
    flags = os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    return os.open(path, flags)


def optional_text(path: Path) -> str | None:
    """Return what an attribute says; None where it is missing, unreadable or empty."""
    try:
        return read_text(path)
    except (OSError, ValueError):
        return None


def optional_number(path: Path) -> float | None:
    """Return an attribute that is one number; None where there is none."""
    try:
        return read_number(path)
    except (OSError, ValueError):
        return None


def entries(folder: Path) -> Iterator[Path]:
    """Yield what a folder holds, by name; nothing where it is missing or may not be read."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - iterdir raises late, inside the loop
    except OSError:
        return
    for name in names:
        yield folder / name


def linked_name(link: Path) -> str | None:
    """Return the last part of where a link such as `device` leads; None where it leads nowhere."""
    try:
        return link.resolve(strict=True).name
    except OSError:
        return None
