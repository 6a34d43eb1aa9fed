"""Every file of the package, as it will lie on a board.

In: wheels, this checkout.  Out: a tree below a folder: /usr/lib/edged is an environment of the
board's own Python, /usr/bin/edged leads to it, units and documents lie where Debian has them,
firmware-config/ and its installer below /usr/share/edged as they lie in this checkout.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.package.copyright import copyright_text
from tools.package.engine_code import engine_digest
from tools.package.site import unpack
from tools.package.version import Release
from tools.wheelhouse.listing import manifest
from tools.wheelhouse.targets import Target
from tools.wheelhouse.wheels import Wheel

ROOT = Path(__file__).resolve().parents[2]
PREFIX = Path("usr/lib/edged")
DOCUMENTS = Path("usr/share/doc/edged")
SHARE = Path("usr/share/edged")
CONFIGURATION = Path("etc/edged/edged.toml")
# The installer finds what it installs from where it lies itself.
FIRMWARE = ("firmware-config", "tools/firmware_config")
FIRMWARE_INSTALLER = Path("tools/install-firmware-config")
# What the checkout calls its places, and what they are called here.
PLACES = {
    "/opt/edged/.venv/bin/edged": "/usr/bin/edged",
    "file:///opt/edged/": "file:///usr/share/doc/edged/",
}
UNITS = {
    "edged.service": Path("usr/lib/systemd/system/edged.service"),
    "edged-engine.service": Path("usr/lib/systemd/system/edged-engine.service"),
    "edged.catalog": Path("usr/lib/systemd/catalog/edged.catalog"),
    "edged.sysusers": Path("usr/lib/sysusers.d/edged.conf"),
}
# -I: neither the caller's folder nor the caller's packages are looked at.
PROGRAM = """\
#!/usr/lib/edged/bin/python -I
import sys

from edged.__main__ import main

sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes in.

    Attributes:
        release: which package this is.
        target: the machines that it is for.
        wheels: edged's and all that it needs.
        python: the board's, as 3.11.
    """

    release: Release
    target: Target
    wheels: Sequence[Wheel]
    python: str

    @property
    def site(self) -> Path:
        """The packages' folder of the environment, from the root."""
        return PREFIX / "lib" / f"python{self.python}" / "site-packages"


def lay_out(contents: Contents, root: Path) -> None:
    """Write every file of the package below `root`.

    Raises:
        PackageError: a wheel does not fit in.
    """
    unpack([one.path for one in contents.wheels], root / contents.site)
    _environment(contents, root)
    _units(root)
    _copy(ROOT / "debian" / "edged.toml", root / CONFIGURATION)
    _firmware(root / SHARE)
    _documents(contents, root / DOCUMENTS)


def _environment(contents: Contents, root: Path) -> None:
    digest = engine_digest(root / contents.site, contents.wheels)
    _write(root / PREFIX / "engine.sha256", f"{digest}\n")
    _write(
        root / PREFIX / "pyvenv.cfg",
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {contents.python}\n",
    )
    _write(root / PREFIX / "bin" / "edged", PROGRAM)
    (root / PREFIX / "bin" / "edged").chmod(0o755)
    (root / PREFIX / "bin" / "python").symlink_to(f"/usr/bin/python{contents.python}")
    (root / "usr/bin").mkdir()
    (root / "usr/bin/edged").symlink_to("../lib/edged/bin/edged")


def _units(root: Path) -> None:
    for name, place in UNITS.items():
        text = (ROOT / "systemd" / name).read_text(encoding="utf-8")
        for there, here in PLACES.items():
            text = text.replace(there, here)
        _write(root / place, text)


def _firmware(folder: Path) -> None:
    for name in FIRMWARE:
        for path in sorted((ROOT / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                _copy(path, folder / path.relative_to(ROOT))
    _copy(ROOT / FIRMWARE_INSTALLER, folder / FIRMWARE_INSTALLER)
    (folder / FIRMWARE_INSTALLER).chmod(0o755)


def _documents(contents: Contents, folder: Path) -> None:
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md"):
        _copy(path, folder / path.name)
    for path in sorted((ROOT / "docs").rglob("*")):
        if path.is_file():
            _copy(path, folder / path.relative_to(ROOT))
    # The documents lead to the pages there.
    (folder / "firmware-config").symlink_to("../../edged/firmware-config")
    _write(folder / "copyright", copyright_text(contents.wheels))
    wheels = sorted(contents.wheels, key=lambda one: one.name)
    _write(folder / "wheels.json", manifest(wheels, contents.target, contents.python, ()))
    log = contents.release.changelog().encode()
    (folder / "changelog.Debian.gz").write_bytes(gzip.compress(log, mtime=0))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
