"""The source package of the pinned llama-cpp-python: the headers of the ggml that edged uses.

In:  nothing.     Out: its folder `ggml`, fetched once.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path

from edged.engine.ggml.sidecar import BINDING

ROOT = Path(__file__).resolve().parent.parent.parent
# tools/build_llama_server unpacks the same package.
FOLDER = ROOT / "build/llama-server"
PACKAGE = f"llama_cpp_python-{BINDING}"
# What a backend is compiled with: the public headers, and those with its tables of functions.
HEADERS = ("include/*.h", "src/ggml-backend-impl.h", "src/ggml-impl.h", "src/ggml-quants.h")


class Refusal(Exception):
    """The library cannot be built; the text says why and what to do."""


def ggml_of_package(folder: Path = FOLDER) -> Path:
    """Return the package's folder `ggml`.

    Raises:
        Refusal: it is not there and cannot be fetched.
    """
    ggml = folder / PACKAGE / "vendor/llama.cpp/ggml"
    if not ggml.is_dir():
        _fetch(folder)
    return ggml


def headers_digest(ggml: Path) -> str:
    """Return the digest of the headers that a backend is compiled with, names and contents."""
    every = hashlib.sha256()
    for pattern in HEADERS:
        for path in sorted(ggml.glob(pattern)):
            every.update(f"{path.relative_to(ggml).as_posix()}\0".encode())
            every.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{every.hexdigest()}"


def _fetch(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{PACKAGE}.tar.gz"
    if not archive.is_file():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--no-binary", "llama-cpp-python"]
        command += ["--dest", str(folder), f"llama-cpp-python=={BINDING}"]
        if subprocess.run(command, check=False).returncode != 0:
            raise Refusal(
                f"the source package of llama-cpp-python {BINDING} cannot be fetched; put "
                f"{archive.name} into {folder}"
            )
    with tarfile.open(archive) as package:
        package.extractall(folder, filter="data")
