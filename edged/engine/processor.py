"""Whether this processor has the instructions that llama.cpp was compiled for.

In:  the metadata of the installed llama-cpp-python, the auxiliary vector of this process.
Out: nothing, or an error that names what is missing. Nothing is loaded: the first instruction that
a processor does not have would end the engine with SIGILL, and with no word about it.

`tools/build-wheelhouse` notes in the wheel's build tag what its compiler was allowed to use, by the
kernel's names: `1.asimddp.asimdhp.atomics`. Without such a tag llama.cpp was compiled on the board
for the board, or for a processor whose instructions have no such names.
"""

from __future__ import annotations

import re
import struct
from importlib import metadata
from pathlib import Path

from edged.errors import EngineUnusable

PACKAGE = "llama-cpp-python"
AUXV = Path("/proc/self/auxv")
# Source: Linux, include/uapi/linux/auxvec.h, AT_HWCAP; pairs of (type, value) up to AT_NULL.
AT_HWCAP = 16
PAIR = struct.Struct("=QQ")
# Source: Linux, arch/arm64/include/uapi/asm/hwcap.h: the bits, by their names in /proc/cpuinfo.
BITS = {"atomics": 8, "asimdhp": 10, "asimddp": 20}
ADVICE = (
    "take the wheels of `tools/build-wheelhouse arm64-v8.0`, or compile on the board with "
    "`tools/setup`"
)


def check_processor(auxv: Path = AUXV) -> None:
    """Return where llama.cpp can be loaded.

    Raises:
        EngineUnusable: it was compiled for instructions that this processor lacks.
    """
    missing = missing_features(needed_features(), auxv)
    if missing:
        raise EngineUnusable(f"{sentence(missing)}; {ADVICE}")


def sentence(missing: tuple[str, ...]) -> str:
    """Return what is wrong, without what to do."""
    return f"{PACKAGE} was compiled for {', '.join(missing)}, which this processor does not have"


def needed_features(package: str = PACKAGE) -> tuple[str, ...]:
    """Return what the installed package was compiled for; nothing where it is not installed."""
    try:
        wheel = metadata.distribution(package).read_text("WHEEL")
    except metadata.PackageNotFoundError:
        return ()
    return noted_features(wheel or "")


def noted_features(wheel: str) -> tuple[str, ...]:
    """Return the names in the build tag of a WHEEL file."""
    tag = re.search(r"^Build: \d+\.(\S+)$", wheel, re.MULTILINE)
    return tuple(tag[1].split(".")) if tag else ()


def missing_features(needed: tuple[str, ...], auxv: Path = AUXV) -> tuple[str, ...]:
    """Return what of `needed` this processor does not say that it has."""
    if not needed:
        return ()
    told = hwcap(_bytes(auxv))
    return tuple(name for name in needed if name not in BITS or not told >> BITS[name] & 1)


def hwcap(auxv: bytes) -> int:
    """Return the processor's features as the kernel told this process; 0 where it did not."""
    whole = auxv[: len(auxv) - len(auxv) % PAIR.size]
    return next((value for kind, value in PAIR.iter_unpack(whole) if kind == AT_HWCAP), 0)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
