"""Put a trained 4-bit file where edged finds it, with its `model.toml`.

In: the GGUF and the training summary of `export`. Out: both files in `edged/models/dock-mini`. The
canary's answer is what this very file says, and must be right by the labelling rules.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from . import labels
from .check import Model
from .dataset import ANSWER, EOS, INPUT, MODEL_DIR, compact, load_templates

CANARY_TEMPLATE = "dock-event"
CANARY_INPUT = "forklift hit pallet 48213 at dock 6, 12 cartons crushed"
CANARY_EXPECTED = labels.dock_event(
    "damage",
    dock=6,
    pallet="48213",
    damaged_cartons=12,
    temperature_c=None,
    asks_for_a_person=False,
)

_MODEL_TOML = """\
# Written by `python -m tools.train_dock_mini install`; docs/dock-mini.md tells how it was made.
name = "dock-mini"
file = "dock-mini.gguf"
sha256 = "{sha256}"
description = "Warehouse messages to JSON: five templates, a few million parameters, 4 bits."
license = "Apache-2.0"
architecture = "llama"
parameters = {parameters}
context_tokens_trained = {longest_row_tokens}
quantisation = "Q4_0, embedding and output head Q8_0"
seed = {seed}

[training]
rows = {rows}
steps = {steps}
batch_tokens = {batch_tokens}
four_bit_steps = {four_bit_steps}
minutes = {minutes}
hardware = "2 x86-64 cores, bf16"

# How a plain `prompt` and `messages` are rendered for this model.
[format]
bos = true
answer = "{answer}"
stop = ["{end}"]

[format.roles]
system = "{{content}}\\n"
user = "{input}{{content}}"
assistant = "{answer}{{content}}{end}"

[canary]
template = "{canary_template}"
input = "{canary_input}"
expected = '{canary_expected}'
"""


def install(gguf: Path, summary: Path, directory: Path = MODEL_DIR) -> None:
    """Copy the file and write its description.

    Raises:
        ValueError: the canary's answer is wrong; the old files stay.
    """
    answer = Model(gguf).answer(load_templates()[CANARY_TEMPLATE], CANARY_INPUT)
    if answer != compact(CANARY_EXPECTED):
        raise ValueError(f"{gguf}: canary answered {answer}; train longer, nothing was installed")
    # An engine may have the old file mapped: it keeps it until it is started again.
    fresh = Path(shutil.copyfile(gguf, directory / "dock-mini.gguf.new"))
    fresh.replace(directory / "dock-mini.gguf")
    text = model_toml(gguf, json.loads(summary.read_text(encoding="utf-8")))
    (directory / "model.toml").write_text(text, encoding="utf-8")


def model_toml(gguf: Path, summary: dict[str, Any]) -> str:
    """The text of `model.toml`."""
    return _MODEL_TOML.format(
        **summary,
        sha256=hashlib.sha256(gguf.read_bytes()).hexdigest(),
        input=INPUT,
        answer=ANSWER,
        end=EOS,
        canary_template=CANARY_TEMPLATE,
        canary_input=CANARY_INPUT,
        canary_expected=compact(CANARY_EXPECTED),
    )
