from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.frames import Limits
from edged.engine.pace import Pace, Timed, fitted
from edged.engine.plan import (
    Bounds,
    Share,
    Waiting,
    credit_after,
    credit_awaited,
    plan,
    token_s,
    tokens_s_max,
)

BOUNDS = Bounds(n_batch=64, chunk_tokens=32, step_s_max=1.0)
FAST = Pace(prefill_s=0.001, decode_s=0.001)


def prefill(key: int, tokens: int, *, priority: int = 5, order: int | None = None) -> Waiting:
    return Waiting(key, tokens, True, priority, key if order is None else order)


def decode(
    key: int, tokens: int = 1, *, priority: int = 5, served: int = 0, is_streamed: bool = False
) -> Waiting:
    return Waiting(key, tokens, False, priority, key, served, is_streamed=is_streamed)


def shares(*pairs: tuple[int, int]) -> list[Share]:
    return [Share(key, tokens) for key, tokens in pairs]


@pytest.mark.parametrize(
    ("rule", "waiting", "expected"),
    [
        ("nothing waits", [], shares()),
        ("decode goes before prefill", [prefill(1, 9), decode(2)], shares((2, 1), (1, 9))),
        ("forced tokens enter together", [decode(1, 7)], shares((1, 7))),
        ("a long prompt fills the batch", [prefill(1, 500)], shares((1, 64))),
        ("beside a streamed answer it gives one chunk",
         [decode(2, is_streamed=True), prefill(1, 500)], shares((2, 1), (1, 32))),
        ("chunks of two prompts share one bound",
         [decode(9, is_streamed=True), prefill(1, 20), prefill(2, 20)],
         shares((9, 1), (1, 20), (2, 12))),
        ("an answer that is read at its end takes no heed of chunks",
         [decode(2), prefill(1, 500)], shares((2, 1), (1, 63))),
        ("a streamed answer that has not begun makes no chunks",
         [Waiting(1, 40, True, 5, 1, is_streamed=True), prefill(2, 40)], shares((1, 40), (2, 24))),
        ("the more urgent is prefilled first", [prefill(1, 40), prefill(2, 70, priority=9)],
         shares((2, 64))),
        ("of equals the earlier is prefilled first", [prefill(1, 40, order=8), prefill(2, 70)],
         shares((2, 64))),
        ("a batch never exceeds n_batch", [decode(1, 60), decode(2, 60)], shares((1, 60), (2, 4))),
    ],
)  # fmt: skip
def test_the_batch_follows_the_rule(
    rule: str, waiting: list[Waiting], expected: list[Share]
) -> None:
    assert plan(waiting, BOUNDS, FAST) == expected, rule


@pytest.mark.parametrize(
    ("rule", "waiting", "expected"),
    [
        ("short runs of several share a smaller step", [decode(1, 20), decode(2, 20)],
         shares((1, 20), (2, 4))),
        ("what fits is cut nowhere", [decode(1, 20), prefill(2, 4)], shares((1, 20), (2, 4))),
        ("a run alone fills the batch", [decode(1, 50)], shares((1, 50))),
        ("with a long run the others ride along", [decode(1, 20), prefill(2, 40)],
         shares((1, 20), (2, 40))),
    ],
)  # fmt: skip
def test_a_step_of_several_sequences_is_what_the_backend_does_best(
    rule: str, waiting: list[Waiting], expected: list[Share]
) -> None:
    assert plan(waiting, replace(BOUNDS, mixed_tokens=24), FAST) == expected, rule


def test_the_less_urgent_get_a_fifth_of_what_the_most_urgent_take() -> None:
    waiting = [decode(1, 50), prefill(2, 30, priority=7), prefill(3, 30)]
    assert plan(waiting, BOUNDS, FAST) == shares((2, 30), (1, 6))


def test_of_the_most_urgent_answers_go_before_prompts() -> None:
    waiting = [decode(1, 50), decode(4, 9, priority=7), prefill(2, 30, priority=7)]
    assert plan(waiting, BOUNDS, FAST) == shares((4, 9), (2, 30), (1, 7))


def test_a_streamed_answer_makes_no_chunks_of_a_more_urgent_prompt() -> None:
    waiting = [decode(1, is_streamed=True), prefill(2, 60, priority=7), prefill(3, 9)]
    assert plan(waiting, BOUNDS, FAST) == shares((2, 60), (1, 1))


def test_who_sat_out_long_enough_has_a_token_before_the_urgent() -> None:
    waiting = [decode(1, 50), prefill(2, 500, priority=7)]
    assert plan(waiting, BOUNDS, FAST, FAST.decode_s) == shares((1, 1), (2, 63))


def test_no_step_is_planned_longer_than_its_bound() -> None:
    slow = Pace(prefill_s=0.125, decode_s=0.25)
    batch = plan([decode(1), decode(2), prefill(3, 50)], BOUNDS, slow)
    assert batch == shares((1, 1), (2, 1), (3, 4))


def test_the_smallest_share_goes_even_when_it_is_over_the_bound() -> None:
    assert plan([decode(1), decode(2)], BOUNDS, Pace(3.0, 3.0)) == shares((1, 1))


def test_sequences_that_do_not_fit_into_one_step_take_turns() -> None:
    slow = Pace(prefill_s=0.1, decode_s=0.6)
    assert plan([decode(1, served=4), decode(2, served=3)], BOUNDS, slow) == shares((2, 1))


@st.composite
def any_waiting(draw: st.DrawFn) -> list[Waiting]:
    count = draw(st.integers(0, 12))
    return [
        Waiting(
            key,
            draw(st.integers(1, 300)),
            draw(st.booleans()),
            draw(st.integers(0, 9)),
            key,
            draw(st.integers(0, 5)),
            is_streamed=draw(st.booleans()),
        )
        for key in range(count)
    ]


@given(
    waiting=any_waiting(),
    bounds=st.builds(
        Bounds, st.integers(8, 256), st.integers(8, 256), st.floats(0.02, 2, allow_nan=False)
    ),
    pace=st.builds(Pace, st.floats(1e-6, 1), st.floats(1e-6, 3), st.floats(0, 3)),
    credit=st.floats(-1, 1),
)
def test_every_batch_keeps_its_bounds(
    waiting: list[Waiting], bounds: Bounds, pace: Pace, credit: float
) -> None:
    batch = plan(waiting, bounds, pace, credit * token_s(pace))
    by_key = {one.key: one for one in waiting}
    prefill_tokens = sum(share.tokens for share in batch if by_key[share.key].is_prefill)
    sampled = sum(share.tokens == by_key[share.key].tokens for share in batch)
    assert bool(batch) == bool(waiting)
    assert len({share.key for share in batch}) == len(batch)
    assert all(1 <= share.tokens <= by_key[share.key].tokens for share in batch)
    assert sum(share.tokens for share in batch) <= bounds.n_batch
    top = max((one.priority for one in waiting), default=0)
    if any(one.is_streamed and not one.is_prefill and one.priority == top for one in waiting):
        assert prefill_tokens <= bounds.chunk_tokens
    others = sum(share.tokens for share in batch) - sampled
    is_smallest = len(batch) == 1 and batch[0].tokens == 1
    assert is_smallest or pace.tokens_s(others, sampled) <= tokens_s_max(bounds, pace) * 1.0001


@dataclass
class Prompt:
    """A sequence in a simulated engine: prompt tokens, then an answer token by token."""

    key: int
    prompt_tokens: int
    answer_tokens: int
    priority: int
    served: int = 0
    got: int = 0

    def waits(self) -> Waiting | None:
        if self.prompt_tokens:
            return Waiting(self.key, self.prompt_tokens, True, self.priority, self.key, self.served)
        if not self.answer_tokens:
            return None
        return Waiting(self.key, 1, False, self.priority, self.key, self.served)

    def take(self, tokens: int) -> None:
        self.got += tokens
        sampled = tokens if not self.prompt_tokens else int(tokens == self.prompt_tokens)
        self.prompt_tokens -= min(tokens, self.prompt_tokens)
        self.answer_tokens -= min(sampled, self.answer_tokens)


def run_steps(
    prompts: list[Prompt],
    bounds: Bounds,
    pace: Pace,
    urgent: Prompt,
    *,
    idle_max: int = 10**9,
    credit_s: float = 0.0,
) -> tuple[float, float]:
    """Run until `urgent` is answered; return the seconds of all steps and of the longest.

    No more than `idle_max` steps in a row may pass the others by.
    """
    total_s = longest_s = 0.0
    step = idle = 0
    while urgent.waits() is not None:
        step += 1
        by_key = {one.key: one for one in prompts}
        waiting = [found for one in prompts if (found := one.waits()) is not None]
        batch = plan(waiting, bounds, pace, credit_s)
        credit_s = credit_after(waiting, batch, pace, credit_s)
        whole = {one.key: one.tokens for one in waiting}
        sampled = sum(share.tokens == whole[share.key] for share in batch)
        took_s = pace.forecast_s(sum(share.tokens for share in batch) - sampled, sampled)
        total_s, longest_s = total_s + took_s, max(longest_s, took_s)
        idle = 0 if any(share.key != urgent.key for share in batch) else idle + 1
        assert idle <= idle_max
        for share in batch:
            by_key[share.key].take(share.tokens)
            by_key[share.key].served = step
    return total_s, longest_s


STEP_BOUNDS = st.builds(
    Bounds, st.integers(8, 128), st.integers(8, 128), st.floats(0.05, 2, allow_nan=False)
)
STEP_PACES = st.builds(Pace, st.floats(1e-4, 0.05), st.floats(1e-4, 0.3), st.floats(0, 1))


@given(
    prompt=st.integers(1, 400),
    answer=st.integers(1, 40),
    others=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 8)), max_size=8),
    bounds=STEP_BOUNDS,
    pace=STEP_PACES,
)
def test_an_urgent_prompt_takes_a_fifth_longer_than_alone_and_a_step_at_most(
    prompt: int, answer: int, others: list[tuple[int, int]], bounds: Bounds, pace: Pace
) -> None:
    alone = Prompt(0, prompt, answer, 9)
    alone_s, _ = run_steps([alone], bounds, pace, alone)
    urgent = Prompt(0, prompt, answer, 9)
    crowd = [
        Prompt(place, tokens, 10**6, priority)
        for place, (tokens, priority) in enumerate(others, start=1)
    ]
    took_s, longest_s = run_steps([urgent, *crowd], bounds, pace, urgent)
    assert took_s <= 1.2 * alone_s + longest_s + 1e-9


@given(bounds=STEP_BOUNDS, pace=STEP_PACES, prompt=st.integers(1, 2000), tokens=st.integers(0, 300))
def test_whoever_sits_out_goes_on_after_a_bounded_number_of_steps(
    bounds: Bounds, pace: Pace, prompt: int, tokens: int
) -> None:
    urgent, other = Prompt(0, prompt, 60, 9), Prompt(1, tokens, 10**6, 5)
    least_s = 0.2 * (pace.fixed_s + min(pace.prefill_s, pace.decode_s))
    owed_s = token_s(pace) + tokens_s_max(bounds, pace) + pace.fixed_s
    idle_max = math.ceil(owed_s / least_s) + 1
    run_steps([urgent, other], bounds, pace, urgent, idle_max=idle_max)


@given(bounds=STEP_BOUNDS, pace=STEP_PACES, prompt=st.integers(1, 400), answer=st.integers(1, 40))
def test_what_an_urgent_prompt_waited_for_a_step_comes_out_of_the_others_share(
    bounds: Bounds, pace: Pace, prompt: int, answer: int
) -> None:
    alone = Prompt(0, prompt, answer, 9)
    alone_s, _ = run_steps([alone], bounds, pace, alone)
    urgent = Prompt(0, prompt, answer, 9)
    crowd = [Prompt(place, 20, 10**6, 5) for place in range(1, 9)]
    waited_s = tokens_s_max(bounds, pace) + pace.fixed_s
    credit_s = credit_awaited(0.0, waited_s)
    took_s, longest_s = run_steps([urgent, *crowd], bounds, pace, urgent, credit_s=credit_s)
    assert waited_s + took_s <= max(1.2 * alone_s + longest_s, alone_s + waited_s) + 1e-9


def test_those_who_kept_nobody_waiting_keep_what_is_left_of_their_share() -> None:
    assert credit_awaited(0.02, -0.01) == 0.02


def test_a_step_that_several_waited_for_is_charged_once() -> None:
    assert credit_awaited(credit_awaited(0.0, 0.05), 0.03) == -0.05


def test_the_pace_moves_towards_what_steps_take() -> None:
    pace = Pace(prefill_s=0.001, decode_s=0.01)
    for _ in range(60):
        pace = pace.learned(50, 0, 0.1)
    assert pace.prefill_s == pytest.approx(0.002, rel=0.05)
    assert pace.decode_s == 0.01


def test_one_stalled_step_does_not_teach_a_tenfold_pace() -> None:
    pace = Pace(0.001, 0.001).learned(10, 0, 100.0)
    assert pace.prefill_s < 0.002


def test_the_fixed_part_of_a_step_is_within_its_bound() -> None:
    pace = Pace(prefill_s=0.01, decode_s=0.01, fixed_s=0.6)
    (share,) = plan([prefill(1, 500)], BOUNDS, pace)
    assert share.tokens == 40
    assert pace.forecast_s(share.tokens, 0) == pytest.approx(BOUNDS.step_s_max)


def test_where_reading_the_weights_takes_the_bound_tokens_still_go_together() -> None:
    slow = Pace(prefill_s=0.1, decode_s=0.1, fixed_s=2.0)
    assert plan([decode(n) for n in range(12)], BOUNDS, slow) == shares(
        *[(n, 1) for n in range(10)]
    )


@given(
    fixed_s=st.floats(0.001, 0.5),
    prefill_s=st.floats(0.0005, 0.02),
    row_share=st.floats(0.0, 1.0),
    wrong=st.floats(0.3, 3.0),
)
def test_the_pace_learns_a_fixed_part_from_small_and_large_steps(
    fixed_s: float, prefill_s: float, row_share: float, wrong: float
) -> None:
    true = Pace(prefill_s, prefill_s * (1 + row_share), fixed_s)
    pace = Pace(prefill_s * wrong, prefill_s, fixed_s / wrong)
    steps = [(0, 1), (8, 8), (0, 32), (200, 8), (128, 0)]
    for step in steps * 400:
        pace = pace.learned(*step, true.forecast_s(*step))
    for step in steps:
        assert pace.forecast_s(*step) == pytest.approx(true.forecast_s(*step), rel=0.1)


def test_a_pace_is_fitted_to_the_first_batches() -> None:
    true = Pace(prefill_s=0.003, decode_s=0.004, fixed_s=0.05)
    few, many = (Timed(count, true.forecast_s(count, 0)) for count in (8, 32))
    found = fitted(few, many, Timed(8, true.forecast_s(0, 8)))
    assert (found.prefill_s, found.decode_s, found.fixed_s) == pytest.approx((0.003, 0.004, 0.05))


@given(*[st.floats(1e-9, 100)] * 3)
def test_whatever_the_first_batches_took_the_pace_can_be_planned_by(
    few_s: float, many_s: float, rows_s: float
) -> None:
    pace = fitted(Timed(8, few_s), Timed(32, many_s), Timed(8, rows_s))
    assert min(pace.prefill_s, pace.decode_s) > 0
    assert pace.fixed_s >= 0
    assert plan([prefill(1, 50)], BOUNDS, pace)


def test_what_the_daemon_allows_bounds_prefill_though_nothing_is_streamed() -> None:
    bounds = BOUNDS.within(Limits(1024, 8, lease_s=1.0, chunk_tokens=5))
    prompt = Waiting(1, 40, is_prefill=True, priority=5, order=1)
    assert plan([prompt], bounds, Pace(0.001, 0.001)) == [Share(1, 5)]
