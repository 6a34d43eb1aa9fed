"""Bundles of tests: small ones, signed by a key of the test or not, and who checks them.

In: a folder of the test.  Out: unpacked bundles, and what either verifier says of one.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from edged.__main__ import main as edged
from tests.package_fixtures import EPOCH_S, contents_of, wheel
from tests.store_fixtures import Signer, new_signer, sign, trusting
from tools.package.bundle import chosen, write_bundle
from tools.package.tree import ROOT
from tools.verify_bundle import SIGNATURE
from tools.wheelhouse.wheels import read_wheel

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the script and the signer want openssl"
)
PACKAGE, MODEL = "edged_1-1_amd64.deb", "chat.gguf"
# An exit code, and what was said.
Said: TypeAlias = tuple[int, str]


def by_script(folder: Path, key: Path) -> Said:
    """Check as a machine without edged does: -I and -S leave nothing but Python's own library."""
    command = [sys.executable, "-I", "-S", str(ROOT / "tools/verify_bundle.py")]
    done = subprocess.run([*command, str(key), str(folder)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def by_edged(folder: Path, key: Path) -> Said:
    """Check as a board does that has edged."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = edged(["bundle", "verify", str(folder), "--key", str(key)])
    return code, said.getvalue()


EACH_CHECK = pytest.mark.parametrize("check", [by_script, by_edged])
Check: TypeAlias = Callable[[Path, Path], Said]


@pytest.fixture(scope="module")
def signer() -> Signer:
    return new_signer()


@pytest.fixture
def key(tmp_path: Path, signer: Signer) -> Path:
    """What the receiver has of the signer."""
    return trusting(tmp_path, signer).keys[0]


@pytest.fixture
def unsigned(tmp_path: Path) -> Path:
    """An unpacked bundle without a signature."""
    return unpacked(written(tmp_path / "made"), tmp_path)


@pytest.fixture
def signed(unsigned: Path, signer: Signer) -> Path:
    return sign(unsigned, signer, SIGNATURE)


def members(folder: Path) -> dict[str, Path | bytes]:
    """Return what a bundle holds, made small."""
    wheels = [wheel(folder / "wheels", name, library=name.encode()) for name in ("edged", "one")]
    contents = contents_of([read_wheel(path) for path in wheels])
    for name in (PACKAGE, MODEL):
        (folder / name).write_bytes(name.encode())
    return chosen(folder / PACKAGE, contents, [folder / MODEL])


def written(folder: Path) -> Path:
    """Write a bundle without a signature."""
    folder.mkdir()
    return write_bundle(members(folder), folder / "out", EPOCH_S)


def unpacked(bundle: Path, folder: Path) -> Path:
    """Unpack as a receiver does."""
    subprocess.run(["tar", "-xf", str(bundle), "-C", str(folder)], check=True)
    return folder / bundle.stem
