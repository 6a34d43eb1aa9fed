"""The plainest loop there is: one sequence, the whole prompt, then one token at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edged.engine.backend import Run, Vocabulary
from edged.engine.constraints import Constraints
from edged.engine.formats import RoleFormat, prompt_tokens
from edged.engine.frames import Work
from edged.engine.llama import Llama
from edged.engine.schema import Lengths

# Two logits closer than this may change places: flash attention rounds by the batch's shape, and
# moves those of a random model by up to 0.06 (rms), so that their difference moves by 0.4 at most.
TIE = 0.4
# A mixture of experts chooses them by rank: rounding can choose another one, and the row is
# another. With random weights that happens to some answers.
SLIPS_SHARE = {"gemma4": 0.15}
FORM = RoleFormat({"user": "{content}"}, "")


def plain_answer(llama: Llama, asked: Work) -> tuple[str, bool]:
    """Answer alone, the prompt at once, then one token at a time.

    Returns the text up to the first near tie, and whether that is all of it.
    """
    words = llama.vocabulary
    found = prompt_tokens(asked.prompt, words, FORM)
    tokens = [*found.root, *found.own]
    matcher = None
    if asked.schema is not None:
        constraints = Constraints(words.guidance, words.n_tokens, Lengths())
        matcher = constraints.constraint(asked.schema).matcher()
    llama.drop(0)
    (row,) = llama.decode([Run(0, 0, tokens, True)])
    answer: list[int] = []
    forced: list[int] = []
    while asked.max_tokens is None or len(answer) < asked.max_tokens:
        if matcher is not None:
            ahead = matcher.ahead()
            matcher.take(*ahead)
            forced += ahead
            if matcher.is_complete and not forced:
                break
        if forced:
            token = forced.pop(0)
        else:
            logits = row if matcher is None else np.where(matcher.allowed().mask(), row, -np.inf)
            token = int(np.argmax(logits))
            if np.partition(logits, -2)[-2] > logits[token] - TIE:
                return _text(words, answer), False
            if words.is_end(token):
                break
            if matcher is not None:
                matcher.take(token)
        answer.append(token)
        (row,) = llama.decode([Run(0, len(tokens) + len(answer) - 1, [token], True)])
    return _text(words, answer), True


def slips_allowed(path: Path, n_answers: int) -> int:
    """Return how many answers of a model may part from this loop's; its file is its kind's."""
    return int(SLIPS_SHARE.get(path.stem, 0.0) * n_answers)


def _text(words: Vocabulary, tokens: list[int]) -> str:
    return b"".join(map(words.piece, tokens)).decode("utf-8", "replace").rstrip("\ufffd")
