"""Whether the processor has the instructions that llama.cpp was compiled for.

In:  what `edged.engine.processor` knows.     Out: a finding. Nothing is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.doctor.finding import Finding, trouble, well
from edged.doctor.root import Root
from edged.engine.processor import (
    ADVICE,
    PACKAGE,
    missing_features,
    needed_features,
    sentence,
)


@dataclass(frozen=True, slots=True)
class Processor:
    """What the installed llama-cpp-python asks of the processor, by the kernel's names."""

    needed: tuple[str, ...]
    missing: tuple[str, ...]


def look(root: Root) -> Processor:
    """Return what is asked for, and what is not there."""
    needed = needed_features()
    return Processor(needed, missing_features(needed, root.at("/proc/self/auxv")))


def judge(processor: Processor, *, needs_llama: bool) -> Finding:
    """Return whether llama.cpp could be loaded."""
    if processor.missing:
        return trouble("processor", sentence(processor.missing), ADVICE, is_needed=needs_llama)
    if processor.needed:
        return well("processor", f"has what {PACKAGE} needs: {', '.join(processor.needed)}")
    return well("processor", f"{PACKAGE} names no instruction that a processor may lack")
