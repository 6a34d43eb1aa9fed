from __future__ import annotations

import pytest

from edged.power.doubt import LEARNED_TICKS, LEFT_SHARE, MOVED_SHARE, PRIOR_SHARE, Doubt
from edged.power.forecast import Learned, Phase


def taught(doubt: Doubt, phase: Phase, ticks: int = LEARNED_TICKS) -> None:
    for _ in range(ticks):
        doubt.teach(phase)


def test_a_phase_that_no_reading_was_of_may_draw_what_drawn_plants_draw() -> None:
    doubt = Doubt(Learned())
    taught(doubt, "prefill")
    assert doubt.share("decode") == PRIOR_SHARE
    assert doubt.share("prefill") == LEFT_SHARE


def test_a_doubt_falls_with_each_reading_and_a_part_stays() -> None:
    doubt, before = Doubt(Learned()), PRIOR_SHARE
    for _ in range(20):
        doubt.teach("decode")
        assert LEFT_SHARE <= doubt.share("decode") <= before
        before = doubt.share("decode")
    assert before == LEFT_SHARE


def test_at_another_point_a_learned_gain_is_doubted_a_little() -> None:
    doubt = Doubt(Learned())
    taught(doubt, "prefill")
    doubt.move()
    assert doubt.share("prefill") == MOVED_SHARE
    assert doubt.share("decode") == PRIOR_SHARE


@pytest.mark.parametrize(("ticks", "share"), [(LEARNED_TICKS, MOVED_SHARE), (0, PRIOR_SHARE)])
def test_after_a_restart_a_gain_counts_as_learned_elsewhere(ticks: int, share: float) -> None:
    assert Doubt(Learned(prefill_ticks=ticks)).share("prefill") == share
