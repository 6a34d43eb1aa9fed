"""The shipped model: batch, shared roots, forced tokens against a loop of one sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from edged import templates
from edged.engine.frames import Limits, Work
from tests.engine_fixtures import Daemon, engine_process, write_config
from tools.dock_mini.check import Model, Result
from tools.dock_mini.dataset import MODEL_DIR, TEMPLATES, Row, load_templates, read_rows

pytestmark = [
    pytest.mark.model,
    # llguidance 1.9.1 calls llama_token_get_attr, which llama-cpp-python 0.3.36 deprecates.
    pytest.mark.filterwarnings("ignore:llama_token_get_attr:DeprecationWarning"),
]

# Near ties: tokens whose logits lie closer than flash attention rounds. Of few rows one may flip.
DIFFERENT_MAX = 0.005
EXACT_MATCH_BAND = 0.005
KV_DIFFERENT_MAX = 0.01


@dataclass(frozen=True, slots=True)
class Compared:
    """Answers of the same rows from two sides."""

    rows: Sequence[Row]
    naive: Sequence[str]
    engine: Sequence[str]

    @property
    def different(self) -> float:
        """The share of answers that are not the same text."""
        pairs = zip(self.naive, self.engine, strict=True)
        return sum(one != other for one, other in pairs) / len(self.rows)

    @property
    def exact_match_moved(self) -> float:
        """How far the share of right answers moves, to either side."""
        right = [
            sum(Result(row, answer).right for row, answer in zip(self.rows, side, strict=True))
            for side in (self.naive, self.engine)
        ]
        return abs(right[0] - right[1]) / len(self.rows)


def held_out(rows_each: int) -> list[Row]:
    """The first rows of every template's held-out set."""
    folder = MODEL_DIR / "eval/held_out"
    return [
        row for name in TEMPLATES for row in read_rows(folder / f"{name}.jsonl", name)[:rows_each]
    ]


def naive_answers(rows: Sequence[Row]) -> list[str]:
    model, known = Model(MODEL_DIR / "dock-mini.gguf", threads=1), load_templates()
    return [model.answer(known[row.template], row.inputs) for row in rows]


def engine_answers(rows: Sequence[Row], folder: Path, kv_type: str = "f16") -> list[str]:
    """All rows at once through a real engine: many share the batch, roots are shared."""
    known = templates.load(MODEL_DIR / "templates")
    works = [
        Work(str(number), known[row.template].prompt(row.inputs), known[row.template].schema)
        for number, row in enumerate(rows)
    ]
    config = write_config(folder, engine={"kv_type": kv_type})
    with engine_process(config, folder) as engine:
        daemon = Daemon.connect(engine)
        ready = daemon.ready()
        limits = Limits(ready.context_tokens, ready.sequences, 3600.0)
        outcomes = daemon.ask(*works, limits=limits)
        daemon.close()
    assert 8 < max(len(step.shares) for step in daemon.steps) <= ready.sequences
    assert sum(outcome.cached_tokens for outcome in outcomes) > 0
    assert sum(outcome.forced_tokens for outcome in outcomes) > 0
    return [outcome.text for outcome in outcomes]


@pytest.mark.parametrize("rows_each", [10, pytest.param(120, marks=pytest.mark.slow)])
def test_the_engine_answers_as_a_naive_loop_does(tmp_path: Path, rows_each: int) -> None:
    rows = held_out(rows_each)
    compared = Compared(rows, naive_answers(rows), engine_answers(rows, tmp_path))
    assert compared.different <= max(DIFFERENT_MAX, 1 / len(rows))
    assert compared.exact_match_moved <= max(EXACT_MATCH_BAND, 1 / len(rows))


@pytest.mark.parametrize("rows_each", [10, pytest.param(120, marks=pytest.mark.slow)])
def test_an_8_bit_kv_cache_hardly_changes_an_answer(tmp_path: Path, rows_each: int) -> None:
    rows = held_out(rows_each)
    answers = []
    for kv_type in ("f16", "q8_0"):
        folder = tmp_path / kv_type
        folder.mkdir()
        answers.append(engine_answers(rows, folder, kv_type))
    compared = Compared(rows, *answers)
    assert compared.different <= max(KV_DIFFERENT_MAX, 1 / len(rows))
    assert compared.exact_match_moved <= max(EXACT_MATCH_BAND, 1 / len(rows))
