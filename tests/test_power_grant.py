from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.soc import RK3588, operating_points
from edged.power.forecast import Forecast, Learned
from edged.power.grant import Ask, Supply, grant_request

FORECAST = Forecast(RK3588, operating_points(RK3588), Learned())
SUPPLY = Supply(
    point=len(FORECAST.points) - 1,
    duty=0.8,
    step_s_max=0.5,
    context_tokens_max=1024,
    sequences_max=8,
)
ASKS = st.builds(Ask, st.integers(1, 900), st.integers(1, 120), st.floats(0.1, 60), st.booleans())
SUPPLIES = st.builds(
    replace, st.just(SUPPLY), duty=st.floats(0.05, 1.0), ahead_s=st.floats(0.0, 30.0)
)


def test_time_enough_means_everything_and_no_reason() -> None:
    granted = grant_request(Ask(256, 60, 300.0), SUPPLY, FORECAST)
    assert (granted.context_tokens, granted.sequences, granted.throttled) == (1024, 8, None)


def test_less_time_takes_sequences_first() -> None:
    granted = grant_request(Ask(256, 60, 8.0), SUPPLY, FORECAST)
    assert granted.context_tokens == 1024
    assert 1 <= granted.sequences < 8
    assert granted.throttled is not None
    assert "of 8 sequences" in granted.throttled


def test_then_context_in_whole_chunks() -> None:
    granted = grant_request(Ask(900, 40, 3.6), SUPPLY, FORECAST)
    assert granted.sequences == 1
    assert 40 < granted.context_tokens < 940
    assert (granted.context_tokens - 40) % 128 == 0
    assert "context tokens" in (granted.throttled or "")


def test_what_must_not_be_trimmed_is_refused_with_joules_and_seconds() -> None:
    granted = grant_request(Ask(900, 40, 3.6, is_trimmable=False), SUPPLY, FORECAST)
    assert granted.context_tokens == 0
    assert "J" in (granted.throttled or "")
    assert granted.retry_after_s is None


def test_what_waits_behind_others_may_come_again_when_they_are_done() -> None:
    busy = replace(SUPPLY, ahead_s=20.0)
    granted = grant_request(Ask(256, 60, 8.0), busy, FORECAST)
    assert granted.context_tokens == 0
    assert granted.retry_after_s == pytest.approx(25.0)


@given(ASKS, SUPPLIES)
def test_what_is_granted_is_in_time(ask: Ask, supply: Supply) -> None:
    granted = grant_request(ask, supply, FORECAST)
    assert (granted.seconds <= ask.left_s) is (granted.context_tokens > 0)


@given(ASKS, SUPPLIES)
def test_less_than_configured_has_its_reason(ask: Ask, supply: Supply) -> None:
    granted = grant_request(ask, supply, FORECAST)
    is_whole = (granted.context_tokens, granted.sequences) == (1024, 8)
    assert (granted.throttled is None) is is_whole


@given(ASKS, SUPPLIES, st.floats(0.1, 60))
def test_more_time_never_grants_less(ask: Ask, supply: Supply, more_s: float) -> None:
    first = grant_request(ask, supply, FORECAST)
    later = grant_request(replace(ask, left_s=ask.left_s + more_s), supply, FORECAST)
    assert later.context_tokens >= first.context_tokens
    assert later.sequences >= first.sequences
