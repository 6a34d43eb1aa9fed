"""Which messages of a conversation that is too long go, and how many trials that takes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.admission import Refused, Submission, candidate_of, read
from edged.contract import Inbound
from edged.errors import Refusal
from edged.trim import Trim, is_trimmable, trim_of
from tests.admission_fixtures import SITE

TOO_LONG = Refusal("too_long", "900 prompt tokens")


def conversation(*roles: str, **keys: object) -> Submission:
    """Return a submission whose messages have these roles, the client being one that may."""
    turns = [{"role": role, "content": f"{place}"} for place, role in enumerate(roles)]
    site = replace(
        SITE,
        requests=SITE.requests.model_copy(
            update={"system_role": True, "prompt_bytes_max": 1_000_000}
        ),
    )
    body = json.dumps({"messages": turns, **keys}).encode()
    found = read(Inbound(f"{site.topics.board}/req/c1", body), site, "b-1-1")
    assert isinstance(found, Submission)
    return found


def contents(submission: Submission | None) -> list[str]:
    assert submission is not None
    return [turn.content for turn in submission.job.prompt.messages]


def searched(trim: Trim, fitting: int) -> tuple[Trim, int]:
    """Search with an engine for which a message is a token, and so many fit; count the trials."""
    trials = 0
    while (trial := trim.trial) is not None:
        trials += 1
        tokens = len(trial.job.prompt.messages)
        fits = tokens <= fitting
        trim = trim.passed(candidate_of(trial, trial.job), tokens) if fits else trim.failed()
    return trim, trials


def test_whole_oldest_messages_go_and_never_the_system_one() -> None:
    asked = conversation("system", "user", "assistant", "user", on_long="trim")
    trim = trim_of(asked, TOO_LONG, 4)
    assert trim is not None
    found = searched(trim, 3)[0].found
    assert not isinstance(found, Refused)
    assert [turn.content for turn in found.job.prompt.messages] == ["0", "2", "3"]
    assert found.job.trimmed_tokens == 1


def test_the_last_message_is_never_trimmed() -> None:
    assert trim_of(conversation("system", "user", on_long="trim"), TOO_LONG, 2) is None


def test_what_is_too_long_with_its_last_message_alone_is_refused() -> None:
    trim = trim_of(conversation("user", "user", "user", on_long="trim"), TOO_LONG, 3)
    assert trim is not None
    found = searched(trim, 0)[0].found
    assert isinstance(found, Refused)
    assert found.refusal is TOO_LONG


@given(st.integers(2, 1500), st.data())
def test_the_fewest_that_must_go_are_found_in_few_trials(count: int, data: st.DataObject) -> None:
    fitting = data.draw(st.integers(1, count - 1))
    trim = trim_of(conversation(*["user"] * count, on_long="trim"), TOO_LONG, count)
    assert trim is not None
    trim, trials = searched(trim, fitting)
    assert trim.best is not None
    assert trim.best.job.trimmed_tokens == count - fitting
    assert trials <= count.bit_length()


@pytest.mark.parametrize("on_long", ["wait", "refuse"])
def test_what_does_not_ask_for_it_is_not_trimmed(on_long: str) -> None:
    asked = conversation("user", "user", on_long=on_long)
    assert not is_trimmable(asked)
    assert trim_of(asked, TOO_LONG, 2) is None


def test_what_is_refused_for_another_reason_is_not_trimmed() -> None:
    asked = conversation("user", "user", on_long="trim")
    assert trim_of(asked, Refusal("bad_schema", "no"), 2) is None
