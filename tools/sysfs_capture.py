r"""Captures the meters and clocks of a board from /sys, and lays a capture out again.

In:  a root, /sys by default.     Out: a manifest on standard output.
A manifest is text: a section for each folder, `name = value` for a file, `name -> target` for a
link; in a value, \n, \0 and \\ stand for a line's end, a NUL and a backslash:

    [class/devfreq]
    fdab0000.npu -> ../../devices/platform/fdab0000.npu/devfreq/fdab0000.npu

    [devices/platform/fdab0000.npu/devfreq/fdab0000.npu]
    max_freq = 1000000000

Only files that are named here are opened: no serial number, no address, no host name is among
them, and none that powers the NPU up. Standard library only: it runs on any board.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

# Folders, then the names of files that are taken from each.
TAKEN = (
    ("class/devfreq/*", ("*_freq", "available_frequencies", "available_governors", "governor")),
    ("class/hwmon/*", ("name", "label")),
    ("class/powercap/*", ("name", "energy_uj", "max_energy_range_uj")),
    ("class/regulator/*", ("name", "microvolts")),
    ("class/thermal/cooling_device*", ("type", "cur_state", "max_state")),
    ("class/thermal/thermal_zone*", ("type", "temp", "trip_point_*_temp")),
    ("bus/iio/devices/*", ("name",)),
    ("devices/system/cpu/cpu[0-9]*", ("cpu_capacity",)),
    ("devices/system/cpu/cpufreq/policy*", ("related_cpus", "cpuinfo_*_freq", "scaling_*")),
    ("firmware/devicetree/base", ("compatible", "model")),
)
# More from those hwmon nodes that speak of power.
POWER_NODES = ("ina*", "tcpm_source_psy*")
POWER_FILES = (
    "in*", "curr*_input", "power*_input", "energy*_input", "update_interval", "samples",
    "shunt*_resistor",
)  # fmt: skip
# The clock in hardware is measured at each read; nothing here needs it.
LEFT_OUT = ("cpuinfo_cur_freq", "*_alarm")
LINKS = ("device", "driver", "of_node")
FILE_BYTES_MAX = 4096
ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\0", "\\0"))

Folders = dict[str, dict[str, str]]


def capture(root: Path) -> Folders:
    """Return the lines of each folder below `root`, in the order of a manifest."""
    root = root.resolve()
    found: Folders = {}
    for pattern, names in TAKEN:
        for entry in sorted(root.glob(pattern)):
            _take(root, entry, names, found)
    return dict(sorted(found.items()))


def _take(root: Path, entry: Path, names: Sequence[str], found: Folders) -> None:
    folder = entry.resolve()
    if not folder.is_relative_to(root) or not folder.is_dir():
        return
    if entry.is_symlink():
        found.setdefault(_below(root, entry.parent), {})[entry.name] = f"-> {entry.readlink()}"
    if entry.match("class/hwmon/*") and _matches(_text(folder / "name") or "", POWER_NODES):
        names = (*names, *POWER_FILES)
        _take_links(root, (folder / "device").resolve(), found)
    lines = found.setdefault(_below(root, folder), {})
    for path in sorted(folder.iterdir()):
        if _matches(path.name, names) and not _matches(path.name, LEFT_OUT):
            text = _text(path)
            if text is not None:
                lines[path.name] = f"= {escaped(text)}"
    _take_links(root, folder, found)


def _take_links(root: Path, folder: Path, found: Folders) -> None:
    for name in LINKS:
        if (folder / name).is_symlink():
            target = (folder / name).readlink()
            found.setdefault(_below(root, folder), {})[name] = f"-> {target}"


def _below(root: Path, path: Path) -> str:
    return str(path.relative_to(root))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _text(path: Path) -> str | None:
    """Return what a file says; None for a folder, a pipe, or what the kernel does not give."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX).decode("utf-8", "replace").rstrip("\n") or None
    except OSError:
        return None


def escaped(text: str) -> str:
    """Return a value for one line of a manifest."""
    for plain, mark in ESCAPES:
        text = text.replace(plain, mark)
    return text


def plain(text: str) -> str:
    """Return the value behind one line of a manifest."""
    marks = {"n": "\n", "0": "\0", "\\": "\\"}
    pieces = iter(text)
    return "".join(marks[next(pieces)] if piece == "\\" else piece for piece in pieces)


def manifest(folders: Folders, title: str) -> str:
    """Return the text of a capture."""
    sections = [
        "\n".join([f"[{folder}]", *(f"{name} {line}" for name, line in sorted(lines.items()))])
        for folder, lines in folders.items()
    ]
    head = "\n".join(f"# {line}" for line in title.splitlines())
    return "\n\n".join([head, *sections]) + "\n"


def read_manifest(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield (folder, name, `=` or `->`, value or target); name and the rest empty for a folder.

    Raises:
        ValueError: a line is none of a manifest's.
    """
    folder = None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            folder = line[1:-1]
            yield folder, "", "", ""
            continue
        name, sign, rest = (*line.split(" ", 2), "", "")[:3]
        if folder is None or sign not in ("=", "->") or not name:
            raise ValueError(f"line {number} is neither a folder, a file nor a link: {line!r}")
        yield folder, name, sign, rest


def lay_out(text: str, root: Path) -> None:
    """Make the folders, files and links of a manifest below `root`."""
    for folder, name, sign, rest in read_manifest(text):
        place = root / folder
        place.mkdir(parents=True, exist_ok=True)
        if sign == "=":
            (place / name).write_text(plain(rest) + "\n", encoding="utf-8")
        elif sign == "->":
            (place / name).symlink_to(rest)


def main() -> int:
    """Print the manifest of this machine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("/sys"), help="default: /sys")
    parser.add_argument("--title", help="first line; default: the board's model and kernel")
    given = parser.parse_args()
    model = _text(given.root / "firmware/devicetree/base/model") or "unknown board"
    kernel = platform.release().split("-")[0]
    title = given.title or f"{model.strip(chr(0))}, kernel {kernel}, captured"
    sys.stdout.write(manifest(capture(given.root), title))
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    raise SystemExit(main())
