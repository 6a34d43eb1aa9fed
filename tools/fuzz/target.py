"""What is fuzzed: a reader of bytes, its seeds, and what must hold for each input.

In:  bytes.     Out: nothing, or an exception: that is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tools.fuzz.mutate import mutated

SEEDS = Path(__file__).parents[2] / "tests" / "fuzz_seeds"


@dataclass(frozen=True, slots=True)
class Target:
    """A reader of bytes.

    Attributes:
        name: also of its folder of seeds.
        check: raises whatever its rules do not expect.
        pieces: what its inputs are made of, for the mutator to put in.
        share: how many of a run's inputs it gets, beside the other targets' shares.
        further: makes seeds that are too large to be kept as files.
        change: makes an input of seeds and pieces.
        long_s: an input that takes longer is a finding.
    """

    name: str
    check: Callable[[bytes], None]
    pieces: tuple[bytes, ...] = ()
    share: float = 1.0
    further: Callable[[], Sequence[bytes]] = tuple
    change: Callable[[Sequence[bytes], Sequence[bytes], Random], bytes] = mutated
    long_s: float = 2.0

    def seeds(self) -> Sequence[bytes]:
        """Return the seeds, those in files in the order of their names."""
        files = sorted((SEEDS / self.name).glob("*"))
        return [*(path.read_bytes() for path in files), *self.further()]
