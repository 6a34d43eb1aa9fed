"""The commented example of the configuration, written from the models themselves.

In:  `config.Config`.     Out: TOML text that `edged check` accepts; rows for the README's table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from edged import config
from edged.config.ranges import allowed

_TABLES: tuple[tuple[str, type[config.Section]], ...] = (
    ("node", config.Node),
    ("broker", config.Broker),
    ("model", config.Model),
    ("engine", config.Engine),
    ("npu", config.Npu),
    ("rkllm", config.Rkllm),
    ("rknn", config.Rknn),
    ("requests", config.Requests),
    ("spool", config.Spool),
    ("store", config.Store),
    ("admin", config.Admin),
    ("power", config.Power),
    ("plug", config.Plug),
    ("quota", config.Quota),
    ("metrics", config.Metrics),
    ("clients.NAME", config.Client),
    ("[input]", config.Input),
    ("[budget]", config.ScheduledBudget),
)

_HEAD = """\
# edged: the configuration, with every key and its default.
# Unknown keys are errors. `edged check FILE` checks it; restarting edged is the reload.
"""

_CLIENT_EXAMPLE = """
# What single clients may do; the table's name is the client's id.
# [clients.forklift-7]
# default_template = "dock-event"  # its bare text goes to this template
# priority_max = 9
# response_topics = ["plc/forklift-7/answer"]
"""

_INPUT_EXAMPLE = """
# Devices whose topics and payloads nobody can change: topic levels name the client, the payload
# becomes a template's input.
# [[input]]
# topic = "scanner/+/text"
# client = "{1}"
# template = "label-read"
# input = { ocr = "text" }       # variable = key of the device's JSON; left out: the whole payload
# reply_topic = "scanner/{1}/answer"
"""

_BUDGET_EXAMPLE = """
# The budget by the time of day, each until the next one; not applied while the clock is not
# synchronised.
# [[budget]]
# at = "06:00"
# budget_w = 6.0
# [[budget]]
# at = "22:00"
# budget_w = 3.0
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the file as a person reads it."""

    table: str
    name: str
    default: str | None
    allowed: str
    meaning: str


def keys() -> Iterator[Key]:
    """Yield every key, in the file's order."""
    for table, section in _TABLES:
        for name, item in section.model_fields.items():
            yield Key(table, name, _default(item), allowed(item), item.description or "")


def example() -> str:
    """Return the example file."""
    lines = [_HEAD]
    table = None
    for key in keys():
        if key.table in ("clients.NAME", "[input]", "[budget]"):
            continue
        if key.table != table:
            table = key.table
            lines.append(f"\n[{table}]")
        allowed = f" ({key.allowed})" if key.allowed else ""
        lines.append(f"# {key.meaning}{allowed}")
        lines.append(f"# {key.name} =" if key.default is None else f"{key.name} = {key.default}")
    return "\n".join(lines) + "\n" + _CLIENT_EXAMPLE + _BUDGET_EXAMPLE + _INPUT_EXAMPLE


def markdown_table() -> str:
    """Return the README's table of keys."""
    rows = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `[{key.table}] {key.name}` | {_cell(key.default)} | {key.allowed} | {key.meaning} |"
        for key in keys()
    ]
    return "\n".join(rows)


def _cell(default: str | None) -> str:
    return "" if default is None else f"`{default}`"


def _default(item: FieldInfo) -> str | None:
    """Return the default as TOML; None when the key is unset or must be given."""
    value: Any = item.get_default(call_default_factory=False)
    if item.is_required() or value is None:
        return None
    if isinstance(value, float):
        return f"{value:g}" if value % 1 or value < 1e6 else f"{value:.1e}"
    return json.dumps(list(value) if isinstance(value, tuple) else value)
