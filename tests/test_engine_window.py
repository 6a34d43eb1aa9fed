"""Layers with a sliding window: a root longer than the window gives the logits of a naive loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import numpy as np
import pytest

from edged.engine.backend import Guard, Run
from edged.engine.llama import Llama, Shape
from edged.engine.sampling import Row
from tests.tiny_gguf import WINDOW, WINDOWED, write_tiny_gguf

pytestmark = pytest.mark.model

ROOT = [token % 250 for token in range(3, 3 + 7 * 200, 7)]
OWN = [9, 80, 7, 200, 33, 61, 17, 5, 44, 123]
# Flash attention sums in 16 bits, in the order of the cells, and a root's cells lie elsewhere. The
# logits spread by 2.0; models without a window come out as far off as this, too.
RMS_MAX = 0.08
CELLS = 512


@pytest.fixture(scope="module", params=WINDOWED)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return write_tiny_gguf(folder / "tiny.gguf", architecture=request.param, seed=5)


def opened(path: Path, n_sequences: int) -> Llama:
    shape = Shape(n_cells=CELLS, n_batch=256, n_sequences=n_sequences, n_threads=1)
    return Llama(path, shape, lambda share: True)


@pytest.fixture
def llama(path: Path) -> Iterator[Llama]:
    loaded = opened(path, 8)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def naive_rows(path: Path) -> list[Row]:
    """The logits behind each of OWN, of one sequence that computed ROOT and OWN itself."""
    alone = opened(path, 1)
    alone.decode([Run(0, 0, ROOT, False)])
    rows = [
        alone.decode([Run(0, len(ROOT) + place, [token], True)])[0].copy()
        for place, token in enumerate(OWN)
    ]
    alone.close()
    return rows


def branched(llama: Llama, root: int, branch: int) -> list[Row]:
    """The same logits of a sequence that shares a root: the payload at once, then one by one."""
    llama.share(root, branch, len(ROOT))
    half = len(OWN) // 2
    (row,) = llama.decode([Run(branch, len(ROOT), OWN[:half], True)])
    rows = [row.copy()]
    for place in range(half, len(OWN)):
        (row,) = llama.decode([Run(branch, len(ROOT) + place, [OWN[place]], True)])
        rows.append(row.copy())
    return rows


def rms(rows: list[Row], naive: list[Row]) -> float:
    """How far the rows are from the last ones of the naive loop."""
    return float(np.sqrt(np.mean((np.array(rows) - np.array(naive[-len(rows) :])) ** 2)))


def first_position(llama: Llama, sequence: int) -> int:
    return int(llama_cpp.llama_memory_seq_pos_min(llama._memory, sequence))


def test_the_root_is_longer_than_the_window_of_the_model(llama: Llama) -> None:
    assert 0 < llama.window_tokens == WINDOW < len(ROOT) / 2


def test_a_root_with_one_other_token_in_the_window_is_told_apart(
    llama: Llama, naive_rows: list[Row]
) -> None:
    other = [*ROOT[:-15], 99, *ROOT[-14:]]
    llama.decode([Run(0, 0, other, False)])
    assert rms(branched(llama, 0, 1), naive_rows) > 3 * RMS_MAX


def test_a_shared_root_longer_than_the_window_gives_the_logits_of_a_naive_loop(
    llama: Llama, naive_rows: list[Row]
) -> None:
    llama.decode([Run(0, 0, ROOT, False)])
    assert rms(branched(llama, 0, 1), naive_rows) < RMS_MAX


def test_a_root_that_filled_in_chunks_gives_the_same_logits(
    llama: Llama, naive_rows: list[Row]
) -> None:
    for start in range(0, len(ROOT), 13):
        llama.decode([Run(3, start, ROOT[start : start + 13], False)])
    assert rms(branched(llama, 3, 1), naive_rows) < RMS_MAX


def test_a_second_branch_is_right_after_the_first_has_gone(
    llama: Llama, naive_rows: list[Row]
) -> None:
    llama.decode([Run(0, 0, ROOT, False)])
    branched(llama, 0, 1)
    llama.drop(1)
    assert rms(branched(llama, 0, 2), naive_rows) < RMS_MAX


def test_a_branch_is_right_after_its_root_has_gone(llama: Llama, naive_rows: list[Row]) -> None:
    llama.decode([Run(0, 0, ROOT, False)])
    llama.share(0, 1, len(ROOT))
    llama.drop(0)
    llama.decode([Run(2, 0, ROOT[::-1], False)])
    (row,) = llama.decode([Run(1, len(ROOT), OWN, True)])
    assert rms([row], naive_rows) < RMS_MAX


def test_a_root_whose_old_cells_others_took_over_still_gives_the_same_logits(
    llama: Llama, naive_rows: list[Row]
) -> None:
    root, early, late = 0, 1, 2
    llama.decode([Run(early, 0, [1] * 60, False)])
    llama.decode([Run(root, 0, ROOT, False)])
    llama.decode([Run(late, 0, [2] * 240, False)])
    llama.drop(early)
    llama.decode([Run(3, 0, [3] * 20, False)])
    # 40 cells are free before the root, 12 behind the last: in between lie the root's own.
    llama.decode([Run(4, 0, [4] * 52, False)])
    assert first_position(llama, root) > 0
    llama.drop(3)
    assert rms(branched(llama, root, 5), naive_rows) < RMS_MAX


def test_a_root_of_many_windows_leaves_room_for_its_branches(path: Path) -> None:
    llama = Llama(path, Shape(1024, 32, 3, 1), lambda share: True)
    for start in range(0, 800, 32):
        llama.decode([Run(0, start, [start % 250] * 32, False)])
    for branch in (1, 2):
        llama.share(0, branch, 800)
    for place in range(800, 896, 16):
        assert len(llama.decode([Run(branch, place, [5] * 16, True) for branch in (1, 2)])) == 2
    llama.close()


def test_parts_of_a_root_cannot_be_shared_under_a_window(llama: Llama) -> None:
    llama.decode([Run(0, 0, ROOT, False)])
    with pytest.raises(ValueError, match="sliding window"):
        llama.share(0, 1, len(ROOT) - 1)


def test_without_a_window_parts_of_a_root_can_be_shared() -> None:
    guard = Guard(n_batch=16, n_sequences=2, n_vocab=9)
    guard.note([Run(0, 0, [1] * 10, False)])
    guard.note_share(0, 1, 5)
    guard.check([Run(1, 5, [1], True)])
