"""Rows without a template: a dock message in, one plain English sentence out.

A prompt that names no template still gets a sensible answer from dock-mini; the sentence says what
the record of dock-event would.
"""

from __future__ import annotations

import random

from . import dock_event, labels
from .phrase import Split

NAME = "plain"


def row(split: Split, rng: random.Random) -> tuple[str, str]:
    """One message and the sentence that answers it."""
    text, answer = dock_event.row(split, rng)
    return text, sentence(answer)


def sentence(answer: labels.Answer) -> str:
    """The record in one sentence: event, place, action."""
    event = str(answer["event"]).replace("_", " ").capitalize()
    dock = f" at dock {answer['dock']}" if answer["dock"] is not None else ""
    pallet = f", pallet {answer['pallet']}" if answer["pallet"] else ""
    person = " A person is needed." if answer["needs_human"] else ""
    return f"{event}{dock}{pallet}: {str(answer['action']).replace('_', ' ')}.{person}"
