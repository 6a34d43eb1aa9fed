"""Rockchip's libraries: where they lie and which version their bytes name.

In:  files below the root, `rkllm.library`.     Out: `Library` for each, findings.
Nothing is loaded: a library runs code when it is opened, and this code runs beside an engine.
"""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from pathlib import Path

from edged.doctor.finding import Finding, error, trouble, warning, well
from edged.doctor.root import Root
from edged.engine.rkllm.evidence import KNOWN_RUNTIMES
from edged.engine.rkllm.library import NAME as RKLLM

RKNN = "librknnrt.so"
# Where the loader of a Debian on aarch64 looks, and where both projects' read-mes put them.
FOLDERS = ("/usr/lib", "/usr/lib/aarch64-linux-gnu", "/lib", "/usr/local/lib", "/lib64")
# Source: `strings` on published files: "librknnrt version: 2.3.0 (c949ad889d@2024-11-07T11:35:33)".
# The runtime of RKLLM prints "rkllm-runtime version: 1.3.0"; whether its file holds that line in
# one piece is not published for 1.3.0, so that no version found is not an error.
VERSIONS = {
    RKLLM: rb"rkllm(?:-runtime| runtime)? version:?\s*v?(\d+\.\d+\.\d+)",
    RKNN: rb"librknnrt version:?\s*v?(\d+\.\d+\.\d+)",
}
# Source: ELF: the magic, then class (2: 64 bits); the machine at byte 18 (183: AArch64).
ELF, MACHINE_AT, AARCH64 = b"\x7fELF\x02", 18, 183
GET = (
    "fetch librkllmrt.so of airockchip/rknn-llm, release v1.3.0, folder aarch64, and run `sudo "
    "install -m 644 librkllmrt.so /usr/lib && sudo ldconfig`"
)
GET_RKNN = (
    "fetch librknnrt.so of airockchip/rknn-toolkit2, rknpu2/runtime/Linux/librknn_api/aarch64, and "
    "run `sudo install -m 644 librknnrt.so /usr/lib && sudo ldconfig`"
)


@dataclass(frozen=True, slots=True)
class Library:
    """One file.

    Attributes:
        path: None where there is none.
        is_elf: whether it is a library of a 64-bit machine at all.
        machine: as ELF numbers them.
        version: what its bytes say; None where they say nothing.
    """

    path: Path | None
    is_elf: bool = False
    machine: int = 0
    version: str | None = None


def look(root: Root, name: str, configured: Path | None = None) -> Library:
    """Return the library of this name: the configured file, else the first that is found."""
    places = [root.at(f"{folder}/{name}") for folder in FOLDERS]
    candidates = places if configured is None else [configured]
    path = next((one for one in candidates if one.is_file()), None)
    if path is None:
        return Library(None)
    try:
        return _read(path, VERSIONS[name])
    except (OSError, ValueError):  # ValueError: mmap of an empty file
        return Library(path)


def _read(path: Path, words: bytes) -> Library:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        is_elf = data[: len(ELF)] == ELF
        machine = int.from_bytes(data[MACHINE_AT : MACHINE_AT + 2], "little")
        found = re.search(words, data)
        version = None if found is None else found[1].decode("ascii")
    return Library(path, is_elf, machine, version)


def judge_rkllm(library: Library, *, needs_npu: bool, machine: int = AARCH64) -> Finding:
    """Return whether the engine could use this librkllmrt."""
    if library.path is None:
        says = f"{RKLLM} is not installed; the backend rkllm needs it"
        return trouble("rkllm", says, GET, is_needed=True) if needs_npu else well("rkllm", says)
    if not library.is_elf or library.machine != machine:
        says = f"{library.path} is no library for this machine"
        return trouble("rkllm", says, GET, is_needed=needs_npu)
    if library.version is None:
        says = (
            f"{library.path} does not name its version in its bytes; the engine asks it at the "
            f"load, and takes {', '.join(KNOWN_RUNTIMES)} only"
        )
        return warning(
            "rkllm", says, f"run `edged engine` and read what it says; if it refuses, {GET}"
        )
    if library.version not in KNOWN_RUNTIMES:
        says = (
            f"{library.path} is RKLLM {library.version}; edged knows the structs of "
            f"{', '.join(KNOWN_RUNTIMES)} only, others would corrupt memory"
        )
        return trouble("rkllm", says, GET, is_needed=needs_npu)
    return well("rkllm", f"{library.path}: RKLLM {library.version}")


def judge_rknn(library: Library, *, is_needed: bool) -> Finding:
    """Return what librknnrt is; the backend rknn needs it, others have their own or none."""
    if library.path is None and is_needed:
        return error("rknn", f"{RKNN} is not installed; the backend rknn needs it", GET_RKNN)
    if library.path is None:
        return well("rknn", f"{RKNN} is not installed; edged does not need it")
    told = library.version or "a version that its bytes do not name"
    return well("rknn", f"{library.path}: librknnrt {told}")
