"""What dpkg is told of the package: its control file, its scripts, the digests of its files.

In: a tree as `tree.lay_out` writes it.  Out: texts by their names in the control archive.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.package.errors import PackageError
from tools.package.tree import CONFIGURATION, ROOT, Contents
from tools.package.version import MAINTAINER, Release

SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
# libgomp1: llama.cpp computes with it. systemd 252, of Debian 12: both units were written for it.
NEEDS = ("libgomp1", "libstdc++6", "systemd (>= 252)")
_SCHEMA = re.compile(r"^SCHEMA_VERSION = (\d+)$", re.M)
_GLIBC = re.compile(rb"GLIBC_2\.(\d+)\0")
ELF = b"\x7fELF"
KIB = 1024

DESCRIPTION = """\
edge LLM daemon: answers MQTT prompts from a resident language model
 Keeps one 4-bit language model in memory and answers short prompts of devices
 over MQTT, offline and within a power budget. A prompt that was accepted is on
 disk before it is acknowledged; an answer with a schema is valid JSON.
 .
 The broker may be on this board (mosquitto) or anywhere. A model for warehouse
 messages is included."""


def control_files(contents: Contents, root: Path) -> dict[str, str]:
    """Return every file of the control archive.

    Raises:
        PackageError: the tree is not one of edged.
    """
    return {
        "control": control(contents, root),
        "conffiles": f"/{CONFIGURATION}\n",
        "md5sums": "".join(md5_lines(root)),
        **scripts(contents, root),
    }


def control(contents: Contents, root: Path) -> str:
    """Return the control file."""
    release = contents.release
    needs = [f"python{contents.python}", f"libc6 (>= 2.{glibc_needed(root)})", *NEEDS]
    fields = {
        "Package": release.name,
        "Version": release.version,
        "Architecture": release.architecture,
        "Maintainer": MAINTAINER,
        "Installed-Size": str(installed_kib(root)),
        "Depends": ", ".join(sorted(needs)),
        "Suggests": "device-tree-compiler, mosquitto, mosquitto-clients",
        **relations(release),
        "Section": "net",
        "Priority": "optional",
        "Description": DESCRIPTION,
    }
    return "".join(f"{name}: {text}\n" for name, text in fields.items())


def relations(release: Release) -> Mapping[str, str]:
    """Return what keeps two packages of edged from standing beside each other."""
    others = ", ".join(release.others)
    return {"Conflicts": others, "Replaces": others}


def scripts(contents: Contents, root: Path) -> dict[str, str]:
    """Return the maintainer scripts, with what they must know of this package.

    Raises:
        PackageError: the tree does not say which schema its spool has.
    """
    source = (root / contents.site / "edged" / "spool" / "schema.py").read_text(encoding="utf-8")
    schema = _SCHEMA.search(source)
    if schema is None:
        raise PackageError("edged/spool/schema.py has no line `SCHEMA_VERSION = N`; write it so")
    told = {"@SPOOL_SCHEMA@": schema[1], "@PYTHON@": f"python{contents.python}"}
    return {name: _filled(ROOT / "debian" / name, told) for name in SCRIPTS}


def _filled(path: Path, told: Mapping[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    for word, meaning in told.items():
        text = text.replace(word, meaning)
    return text


def glibc_needed(root: Path) -> int:
    """Return the minor number of the newest glibc 2 that a library of the tree asks for.

    A library that was compiled on a newer system would else fail at its first import.
    """
    libraries = (path.read_bytes() for path in files(root) if ".so" in path.name)
    found = (
        int(minor) for text in libraries if text.startswith(ELF) for minor in _GLIBC.findall(text)
    )
    return max(found, default=17)


def installed_kib(root: Path) -> int:
    """Return what the tree takes on a disk, in KiB; each file and folder takes one at least."""
    return sum(
        -(-path.stat().st_size // KIB) if path.is_file() and not path.is_symlink() else 1
        for path in root.rglob("*")
    )


def md5_lines(root: Path) -> Iterator[str]:
    """Yield what `dpkg --verify` compares the files with; configurations are not among them."""
    for path in files(root):
        place = path.relative_to(root)
        if place != CONFIGURATION:
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            yield f"{digest}  {place}\n"


def files(root: Path) -> list[Path]:
    """Return every plain file of the tree, in one order on all machines."""
    plain = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(plain)
