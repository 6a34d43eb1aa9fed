"""Judges the demo's replies against their templates' schemas and expected answers, and prints them.

In: a row of an evaluation set, and what the device got for it.  Out: lines of text, and a tally.
Pure. Knows no files and no MQTT, and trusts nothing that edged says of itself
but the joules and their source.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

WIDTH = 100
INDENT = "      "


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one message."""

    answered: bool
    valid: bool  # against the template's own schema, checked here
    right: bool  # equal to the expected answer in every field
    remarks: Sequence[str] = ()  # the fields that differ, or what went wrong
    seconds: float | None = None  # from publish to reply, at the device
    energy_j: float | None = None
    energy_source: str | None = None


def judge(row: Mapping[str, Any], result: Mapping[str, Any], schema: Mapping[str, Any]) -> Verdict:
    """Return what became of a message.

    Args:
        row: the message, with its `expected` answer.
        result: what the device wrote down: `seconds` and `reply`, or `error`.
        schema: the JSON Schema of the row's template.
    """
    reply = result.get("reply")
    if reply is None:
        return Verdict(False, False, False, [result["error"]])
    if reply.get("event") != "done":
        words = (reply.get(key) for key in ("event", "reason", "detail"))
        return Verdict(False, False, False, [": ".join(str(word) for word in words if word)])
    energy = reply.get("energy", {})
    measured = (result["seconds"], energy.get("j"), energy.get("source"))
    problems = schema_problems(reply.get("json"), schema)
    if problems:
        return Verdict(True, False, False, problems, *measured)
    wrong = differences(reply["json"], row["expected"])
    return Verdict(True, True, not wrong, wrong, *measured)


def schema_problems(answer: object, schema: Mapping[str, Any]) -> list[str]:
    """Return what the schema finds wrong with an answer, in words."""
    return [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(answer)
    ]


def differences(answer: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return the fields that are not as expected, in words."""
    fields = dict.fromkeys([*expected, *answer])
    return [
        f"{field} is {as_json(answer.get(field))}, expected {as_json(expected.get(field))}"
        for field in fields
        if answer.get(field) != expected.get(field)
    ]


def describe(
    number: int, row: Mapping[str, Any], result: Mapping[str, Any], verdict: Verdict
) -> str:
    """Return the lines that show one message: what was asked, answered, and whether it is right."""
    head = f"{number:3d}  {row['template']:20}{mark(verdict)}"
    cost = "  ".join(cost_words(verdict))
    asked = row["input"] if isinstance(row["input"], str) else as_json(row["input"])
    lines = [f"{head}{cost:>{WIDTH - len(head)}}", *wrap(asked)]
    answer = result.get("reply", {}).get("json")
    if answer is not None:
        lines += wrap(as_json(answer), "-> ")
    for remark in verdict.remarks:
        lines += wrap(remark, "!  ")
    return "\n".join(lines)


def mark(verdict: Verdict) -> str:
    """Return the verdict in a word or two."""
    if verdict.right:
        return "right"
    if verdict.valid:
        return "not right"
    return "NOT VALID" if verdict.answered else "NO ANSWER"


def as_json(value: object) -> str:
    """Return a value as readable JSON."""
    return json.dumps(value, ensure_ascii=False)


def cost_words(verdict: Verdict) -> Iterable[str]:
    """Return seconds and joules of an answer, for people."""
    if verdict.seconds is not None:
        yield f"{verdict.seconds:.2f} s"
    if verdict.energy_j is not None:
        yield f"{verdict.energy_j:.2f} J {verdict.energy_source}"


def wrap(text: str, mark: str = "") -> list[str]:
    """Return text as indented lines that fit the terminal."""
    return textwrap.wrap(
        " ".join(text.split()),
        width=WIDTH,
        initial_indent=INDENT + mark,
        subsequent_indent=INDENT + " " * len(mark),
        break_on_hyphens=False,
    )


def summary(verdicts: Sequence[Verdict], asked: int, power: Mapping[str, Any] | None = None) -> str:
    """Return the closing lines: how many answered, valid and right, at what cost.

    Args:
        verdicts: of the messages that were answered.
        asked: how many messages there were.
        power: what the board's `state` says of its budget; None where it did not say.
    """
    answered = sum(verdict.answered for verdict in verdicts)
    valid = sum(verdict.valid for verdict in verdicts)
    right = sum(verdict.right for verdict in verdicts)
    seconds = sum(verdict.seconds or 0.0 for verdict in verdicts)
    energy_j = sum(verdict.energy_j or 0.0 for verdict in verdicts)
    sources = sorted({v.energy_source for v in verdicts if v.energy_source is not None})
    counts = f"{answered} of {asked} answered, {valid} of {asked} schema-valid"
    cost = f"{seconds:.1f} s, {energy_j:.2f} J {' and '.join(sources)}".rstrip()
    lines = [f"{counts}, {right} of {asked} right; {cost}."]
    if "estimated" in sources:
        lines.append(
            "Power: there is no meter here. Joules and watts are *estimated* from processor time "
            "and clocks."
        )
    if power is not None:
        held = "is not held" if power["state"] == "off" else f"is {power['state']}"
        lines.append(f"The power budget of {power['budget_w']:g} W {held}: {power['why']}.")
    return "\n".join(line for text in lines for line in textwrap.wrap(text, WIDTH))


def has_failed(verdicts: Sequence[Verdict], asked: int) -> bool:
    """Return whether an answer is missing or breaks its schema; wrong fields alone do not fail."""
    return sum(verdict.valid for verdict in verdicts) < asked
