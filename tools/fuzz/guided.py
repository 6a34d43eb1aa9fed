"""Inputs that coverage guides: atheris keeps and changes those that reach code which none reached.

`python -m tools.fuzz --guided` runs this for each target, in a process of its own: libFuzzer ends
its process itself.
In:  a target's name, how many inputs.     Out: exit 0; or an input that broke a rule, as a file.
Without `edged` at the top: what is imported before atheris looks on is not measured.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.fuzz.mutate import LENGTH_MAX, PIECES
from tools.fuzz.target import Target

# Measured code is slower, and a machine may be busy: an input that takes longer hangs.
HANG_S = 20
MEMORY_MIB_MAX = 3072
# Source: FuzzerDictionary.h of LLVM: a longer word of a dictionary is left out.
WORD_BYTES_MAX = 64
MISSING = "atheris is not installed; tools/setup dev does it where there is a wheel (x86-64)"


def is_available() -> bool:
    """Return whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


def run(name: str, inputs: int, seed: int, found: Path) -> bool:
    """Fuzz a target in a process of its own; say what came of it, return whether a rule broke."""
    command = [sys.executable, "-m", "tools.fuzz.guided", name, str(inputs), str(seed), str(found)]
    # libFuzzer leaves whatever lies about.
    with tempfile.TemporaryDirectory(prefix="edged-fuzz-") as folder:
        surroundings = {**os.environ, "TMPDIR": folder}
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=surroundings
        )
    lines = done.stderr.splitlines()
    reached = next((line for line in reversed(lines) if " cov: " in line), "nothing was run")
    print(f"{name}, guided: {' '.join(reached.split())}", flush=True)
    if done.returncode:
        print("\n".join(f"  {line}" for line in lines[-20:]), flush=True)
    return done.returncode != 0


def fuzz(target: Target, inputs: int, seed: int, found: Path) -> None:
    """Let libFuzzer run; it ends the process, with 0 unless an input broke a rule."""
    import atheris

    found.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp())
    corpus, words = folder / "corpus", folder / "words"
    corpus.mkdir()
    for number, data in enumerate(target.seeds()):
        (corpus / str(number)).write_bytes(data)
    words.write_text(_dictionary((*target.pieces, *PIECES)), encoding="ascii")
    options = [
        *(f"-runs={inputs}", f"-seed={seed}", f"-max_len={LENGTH_MAX}", f"-dict={words}"),
        *(f"-timeout={HANG_S}", f"-rss_limit_mb={MEMORY_MIB_MAX}", "-verbosity=1"),
        *(f"-artifact_prefix={found}/{target.name}-", str(corpus)),
    ]
    atheris.Setup([sys.argv[0], *options], target.check)
    atheris.Fuzz()


def _dictionary(words: Sequence[bytes]) -> str:
    """Return the words as libFuzzer reads them: each byte by its number."""
    short = (word for word in words if len(word) <= WORD_BYTES_MAX)
    return "".join(f'"{_escaped(word)}"\n' for word in short)


def _escaped(word: bytes) -> str:
    return "".join(rf"\x{byte:02x}" for byte in word)


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz one target under atheris' eyes; this does not return."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz.guided", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("inputs", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("found", type=Path)
    given = parser.parse_args(argv)
    import atheris

    with atheris.instrument_imports(include=["edged", "tools.fuzz"]):
        targets: Sequence[Target] = importlib.import_module("tools.fuzz.__main__").TARGETS
    (target,) = (one for one in targets if one.name == given.target)
    fuzz(target, given.inputs, given.seed, given.found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
