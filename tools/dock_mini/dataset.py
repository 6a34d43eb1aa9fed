"""Rows of every template, by split and seed, and how a row is rendered for the model.

In: the generators and the shipped template files. Out: pieces of text (root, payload, suffix,
answer), which are tokenised separately, as the engine does.
"""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import cold_chain, dock_event, label_read, maintenance, plain, stock_question
from .phrase import Phrases, Split

MODEL_DIR = Path(__file__).resolve().parents[2] / "edged" / "models" / "dock-mini"
BOS, EOS = "<|start|>", "<|end|>"
INPUT, ANSWER = "<|input|>", "<|answer|>"
SPECIAL_TOKENS = (BOS, EOS, INPUT, ANSWER)

GENERATORS: dict[str, Callable[[Split, random.Random], tuple[Any, Any]]] = {
    dock_event.NAME: dock_event.row,
    cold_chain.NAME: cold_chain.row,
    label_read.NAME: label_read.row,
    maintenance.NAME: maintenance.row,
    stock_question.NAME: stock_question.row,
    plain.NAME: plain.row,
}
TEMPLATES = tuple(name for name in GENERATORS if name != plain.NAME)


@dataclass(frozen=True, slots=True)
class Table:
    """How the rows of a variable are written: sorted by a place, some places twice."""

    sort_by: int
    columns: Sequence[int]

    def rows(self, value: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """The rows as the model reads them; the device sends them in any order."""
        ordered = sorted(value, key=lambda line: line[self.sort_by])
        return [[line[at] for at in self.columns] for line in ordered]


@dataclass(frozen=True, slots=True)
class Template:
    """What the model sees around an input, and the schema of its answer."""

    name: str
    root: str
    payload: str
    suffix: str
    schema: str
    tables: Mapping[str, Table] = field(default_factory=dict)


# A prompt without a template: no instruction, the message alone.
PLAIN = Template(plain.NAME, INPUT, "{message}", ANSWER, "")


@dataclass(frozen=True, slots=True)
class Row:
    """One input with its expected answer."""

    template: str
    inputs: Any
    expected: Any

    def answer(self) -> str:
        """The answer as the model writes it: text, or JSON without white space."""
        return self.expected if isinstance(self.expected, str) else compact(self.expected)

    def values(self) -> str:
        """The answer on the compact wire: an array of the values, in the schema's order."""
        if isinstance(self.expected, str):
            return self.expected
        return compact(list(self.expected.values()))


def rows(template: str, split: Split, n_rows: int, seed: int) -> list[Row]:
    """The first `n_rows` rows of a template; the same seed gives the same rows."""
    rng = random.Random(f"{template}/{split}/{seed}")
    return [Row(template, *GENERATORS[template](split, rng)) for _ in range(n_rows)]


def phrase_groups() -> list[Phrases]:
    """Every phrase group of every template, for audits."""
    modules = (dock_event, cold_chain, label_read, maintenance, stock_question)
    return [group for module in modules for group in module.phrase_groups()]


def load_templates(directory: Path = MODEL_DIR / "templates") -> dict[str, Template]:
    """The shipped templates by name, and the plain one."""
    templates = {plain.NAME: PLAIN}
    for path in sorted(directory.glob("*.toml")):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        texts = {key: table[key] for key in ("name", "root", "payload", "suffix", "schema")}
        tables = {
            name: Table(**variable["rows"])
            for name, variable in table["variables"].items()
            if "rows" in variable
        }
        templates[path.stem] = Template(**texts, tables=tables)
    return templates


def payload(template: Template, inputs: Any) -> str:
    """The variable part of the prompt: strings as they are, anything else as compact JSON."""
    if isinstance(inputs, str):
        head, _, rest = template.payload.partition("{")
        return head + inputs + rest.partition("}")[2]
    text = template.payload
    for name, value in inputs.items():
        if name in template.tables:
            value = template.tables[name].rows(value)
        rendered = value if isinstance(value, str) else compact(value)
        text = text.replace(f"{{{name}}}", rendered)
    return text


def compact(value: Any) -> str:
    """JSON without white space, letters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read_rows(path: Path, template: str) -> list[Row]:
    """Rows of a jsonl file of `{"input": ..., "expected": {...}}` lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    tables = [json.loads(line) for line in lines if line.strip()]
    return [Row(template, table["input"], table["expected"]) for table in tables]


def write_held_out(n_rows: int, seed: int, directory: Path = MODEL_DIR / "eval/held_out") -> None:
    """Write the held-out evaluation rows of every template."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in TEMPLATES:
        table = [
            json.dumps({"input": row.inputs, "expected": row.expected}, ensure_ascii=False)
            for row in rows(name, Split.HELD_OUT, n_rows, seed)
        ]
        (directory / f"{name}.jsonl").write_text("\n".join(table) + "\n", encoding="utf-8")
