"""The canonical prompts and answers of the benchmark.

In:  numbers that tell prompts apart.     Out: texts. A scripted model (tools/make_bench_model)
gives exactly these answers, whoever serves it, so that all peers emit the same tokens and a wrong
answer is seen. Each suffix ends in its own words: a model that looks back a few tokens knows by
them which answer is wanted.
Pure. Does not know: engines, tokens.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

Form = Literal["json", "compact", "text"]

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "event": {"enum": ["arrival", "departure", "damage", "alarm", "missing_label"]},
            "dock": {"type": ["integer", "null"], "minimum": 1, "maximum": 99},
            "pallet": {"type": ["string", "null"], "pattern": "^P[0-9]{4,6}$"},
            "damaged_cartons": {"type": ["integer", "null"], "minimum": 1, "maximum": 999},
            "temperature_c": {"type": ["integer", "null"], "minimum": -60, "maximum": 60},
            "severity": {"enum": ["low", "medium", "high"]},
            "action": {"enum": ["unload", "close_dock", "relabel", "inspect", "quarantine"]},
            "needs_human": {"type": "boolean"},
        },
        "required": [
            "event",
            "dock",
            "pallet",
            "damaged_cartons",
            "temperature_c",
            "severity",
            "action",
            "needs_human",
        ],
        "additionalProperties": False,
    }
)
RECORD = {
    "event": "damage",
    "dock": 6,
    "pallet": "P48213",
    "damaged_cartons": 12,
    "temperature_c": None,
    "severity": "high",
    "action": "quarantine",
    "needs_human": True,
}
SENTENCE = (
    "The forklift at door six broke twelve cartons of one pallet, so the crew closed that lane, "
    "called an inspector, moved all other goods to cold storage and wrote this short note about "
    "what they had seen before the next truck came"
)
# Another schema, to make a peer's tokenizer ready without making this benchmark's schema known.
OTHER_SCHEMA = (
    '{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"],'
    '"additionalProperties":false}'
)

_INSTRUCTIONS = """\
Read one message from a loading dock. It was typed on a small screen or spoken into a headset, in
a hurry, with words left out and numbers in the middle of things. Answer with the event record.
The event is the most serious thing that is said: an alarm before damage, damage before a missing
label, a missing label before arrival or departure. The dock is the number of the dock, door, bay,
gate or ramp. The pallet is the letter P and the digits of its number. Count damaged cartons and
boxes alike. A temperature is in whole degrees Celsius, decimals cut off. Where something is not
said, it is null. Damage of ten cartons or more is of high severity, any other damage of medium,
everything else of low. The action follows from event and severity: unload what arrives, close the
dock behind what departs, label again what has lost its label, inspect damage, and put into
quarantine what is badly damaged. A human is needed when severity is high, or when one is asked for.
The message is:
"""
_SUFFIXES: dict[Form, str] = {
    "json": "\nAnswer with the whole record:\n",
    "compact": "\nAnswer with the bare values:\n",
    "text": "\nAnswer with the short sentence:\n",
}
# Long enough that no peer is cut off in the middle of the record.
_MAX_TOKENS: dict[Form, int] = {"json": 96, "compact": 96, "text": 32}
_LONG_WORDS = " and then the next truck came to the same door with more of the same goods"


def root(number: int) -> str:
    """Return a template's constant text; two numbers share its first word and some digits."""
    return f"Template {number % 10**6:06d}. {_INSTRUCTIONS}"


def payload(number: int, long_words: int = 0) -> str:
    """Return what a device says; `long_words` makes it longer, 16 words at a time."""
    said = f"Message {number % 10**4:04d} says that a forklift hit the pallet at this door"
    return said + _LONG_WORDS * long_words


def suffix(form: Form) -> str:
    """Return the text before an answer of this form."""
    return _SUFFIXES[form]


def max_tokens(form: Form) -> int:
    """Return the cap of an answer of this form."""
    return _MAX_TOKENS[form]


def answer(form: Form) -> str:
    """Return the one right answer; of text, a peer gives only the beginning."""
    if form == "text":
        return SENTENCE
    record = list(RECORD.values()) if form == "compact" else RECORD
    return json.dumps(record, separators=(",", ":"))


def digest() -> str:
    """Return a name for all of this; a scripted model carries it in `edged.bench.script`."""
    forms: tuple[Form, ...] = ("json", "compact", "text")
    whole = "\0".join([SCHEMA, *(suffix(form) + answer(form) for form in forms)])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]
