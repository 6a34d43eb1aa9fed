"""What a run of the runtime tells the step thread.

In:  the runtime's callbacks, on its thread.     Out: `Piece` after each token, `Ended` once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A token was chosen; the runtime waits until it is let go on.

    Attributes:
        text: its UTF-8, whole characters; none while a character is not whole.
        confidence: its probability among what was allowed, 0..1; None where nobody tells.
    """

    text: bytes
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """The runtime's own figures of one run; nobody measured them again.

    Attributes:
        prefill_tokens, generate_tokens: tokens of prompt and answer, as it counts them.
        memory_bytes: highest resident memory of the process.
    """

    prefill_s: float = 0.0
    prefill_tokens: int = 0
    generate_s: float = 0.0
    generate_tokens: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over: the call has returned and the KV cache was cleared.

    Attributes:
        problem: what went wrong, in words; empty when nothing did.
        is_clean: whether the KV cache is empty; where not, the next answer would see this one.
    """

    figures: Figures
    problem: str = ""
    is_clean: bool = True


Event = Piece | Ended
