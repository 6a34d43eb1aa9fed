"""Quotas: what is taken, what is refused, and when the same prompt would be taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import config
from edged.quota import CLIENTS_MAX, Bucket, Quotas, Use

RATES = st.floats(1.0, 1e6)
AMOUNTS = st.floats(0.0, 1e6)


class Clock:
    """A clock that the test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def quotas(clock: Clock, **limits: float) -> Quotas:
    quota = config.Quota.model_validate(limits)
    return Quotas(lambda client: quota, clock)


@given(RATES, AMOUNTS, AMOUNTS)
def test_after_the_seconds_it_was_told_the_same_prompt_is_taken(
    per_minute: float, gone: float, amount: float
) -> None:
    bucket = Bucket(per_minute, per_minute, 0.0).less(gone)
    wait_s = bucket.wait_s(amount)
    assert bucket.now(wait_s).wait_s(amount) == 0.0
    if wait_s > 0.001:
        assert bucket.now(0.99 * wait_s).wait_s(amount) > 0.0


@given(RATES, st.lists(st.tuples(AMOUNTS, st.floats(0.0, 90.0)), min_size=1, max_size=30))
def test_no_time_has_more_than_its_minutes_a_full_bucket_and_one_prompt(
    per_minute: float, asked: list[tuple[float, float]]
) -> None:
    bucket, taken, now_s = Bucket(per_minute, per_minute, 0.0), 0.0, 0.0
    for amount, pause_s in asked:
        now_s += pause_s
        bucket = bucket.now(now_s)
        if bucket.wait_s(amount) == 0.0:
            bucket, taken = bucket.less(amount), taken + amount
        largest = max(amount for amount, _ in asked)
        assert taken <= (per_minute * (1 + now_s / 60) + largest) * 1.0001


def test_a_prompt_over_a_whole_minute_passes_a_full_bucket_and_is_paid_after() -> None:
    bucket = Bucket(60.0, 60.0, 0.0)
    assert bucket.wait_s(600.0) == 0.0
    assert bucket.less(600.0).wait_s(1.0) == pytest.approx(541.0)


def test_a_bucket_never_holds_more_than_a_minute() -> None:
    assert Bucket(60.0, 60.0, 0.0).less(-5.0).now(1000.0).left == 60.0


def test_the_longest_wait_is_told_with_its_key() -> None:
    found = quotas(Clock(), tokens_per_minute=60.0, joules_per_minute=6.0)
    found.take("c", Use(60.0, 6.0))
    short = found.short("c", Use(10.0, 2.0))
    assert short is not None
    assert short.key == "joules_per_minute"
    assert short.wait_s == pytest.approx(20.0)


def test_clients_have_buckets_of_their_own() -> None:
    found = quotas(Clock(), tokens_per_minute=60.0)
    found.take("c", Use(60.0, 0.0))
    assert found.short("d", Use(60.0, 0.0)) is None


def test_without_a_rate_nobody_is_short() -> None:
    found = quotas(Clock())
    found.take("c", Use(1e9, 1e9))
    assert found.short("c", Use(1e9, 1e9)) is None


def test_what_an_answer_did_not_take_comes_back_once() -> None:
    found = quotas(Clock(), tokens_per_minute=100.0)
    found.take("c", Use(100.0, 0.0))
    found.begun(1, "c", Use(100.0, 0.0))
    for _ in range(2):
        found.ended(1, Use(40.0, 0.0))
    short = found.short("c", Use(61.0, 0.0))
    assert short is not None
    assert short.wait_s == pytest.approx(0.6)
    assert found.short("c", Use(60.0, 0.0)) is None


def test_a_prompt_that_never_ran_takes_nothing() -> None:
    found = quotas(Clock(), tokens_per_minute=100.0)
    found.take("c", Use(100.0, 0.0))
    found.begun(1, "c", Use(100.0, 0.0))
    found.ended(1)
    assert found.short("c", Use(100.0, 0.0)) is None


def test_the_bucket_fills_with_the_clock() -> None:
    clock = Clock()
    found = quotas(clock, tokens_per_minute=60.0)
    found.take("c", Use(60.0, 0.0))
    clock.now_s = 10.0
    assert found.short("c", Use(10.0, 0.0)) is None
    assert found.short("c", Use(11.0, 0.0)) is not None


def test_a_bounded_number_of_clients_is_remembered() -> None:
    found = quotas(Clock(), tokens_per_minute=60.0)
    for number in range(CLIENTS_MAX + 1):
        found.take(f"c{number}", Use(60.0, 0.0))
    assert found.short("c0", Use(60.0, 0.0)) is None
    assert found.short("c1", Use(60.0, 0.0)) is not None


def test_a_clients_own_table_counts_more_than_that_of_all() -> None:
    found = config.parse(
        {
            "quota": {"tokens_per_minute": 50.0, "outstanding_max": 9},
            "clients": {"c": {"outstanding_max": 3}},
        },
        "test",
    )
    assert found.quota_of("c") == config.Quota(outstanding_max=3, tokens_per_minute=50.0)
    assert found.quota_of("d") == config.Quota(outstanding_max=9, tokens_per_minute=50.0)
