"""What time it is at least: certificates on a board that starts without a clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.clock import Instant
from edged.mqtt import Session
from edged.time_floor import STEP_S, CertificateOver, TimeFloor, Validity, judge
from tests.mqtt_fixtures import CLIENT_ID, FILTERS, WILL, finish, until
from tests.site_broker import NOW, SiteBroker, made
from tools.site_ca import Term

DAY_S = 86_400.0
YEAR_2000_S = 946_684_800.0
TIMES = st.floats(0, 4e9)
CHAINS = st.lists(st.builds(Validity, st.just("b"), TIMES, TIMES), min_size=1, max_size=3)


@dataclass(frozen=True)
class Machine:
    """A machine whose clock says what it is told."""

    wall_s: float
    synchronised: bool = False

    def boottime_s(self) -> float:
        return 0.0

    def instant(self) -> Instant:
        return Instant("boot", 0.0, self.wall_s, self.synchronised)


def floor(folder: Path, wall_s: float, *, synchronised: bool = False) -> TimeFloor:
    return TimeFloor(folder / "time_floor", Machine(wall_s, synchronised))


def chain(from_s: float, until_s: float) -> list[Validity]:
    return [Validity("broker", from_s, until_s)]


@given(CHAINS, TIMES, TIMES)
def test_what_is_over_at_a_time_that_is_past_is_never_taken(
    certificates: list[Validity], wall_s: float, floor_s: float
) -> None:
    found = judge(certificates, wall_s, floor_s)
    assert found.now_s >= max(wall_s, floor_s)
    over = [one for one in certificates if one.until_s < max(wall_s, floor_s)]
    assert not over or found.expired is not None


@given(CHAINS, TIMES, TIMES)
def test_a_later_time_never_makes_an_expired_certificate_good(
    certificates: list[Validity], wall_s: float, floor_s: float
) -> None:
    if judge(certificates, wall_s, floor_s).expired is not None:
        assert judge(certificates, wall_s, floor_s + STEP_S).expired is not None


def test_a_board_in_the_year_2000_takes_a_certificate_of_today_and_says_so(tmp_path: Path) -> None:
    board = floor(tmp_path, YEAR_2000_S)
    board.admit(chain(1.79e9, 1.80e9))
    assert "the clock says 2000-01-01" in board.doubt
    assert "valid from 2026-09-21" in board.doubt


def test_a_certificate_within_its_time_is_in_no_doubt(tmp_path: Path) -> None:
    board = floor(tmp_path, 1.795e9)
    board.admit(chain(1.79e9, 1.80e9))
    assert board.doubt == ""


def test_what_expired_stays_expired_on_a_board_that_knew_a_later_time(tmp_path: Path) -> None:
    floor(tmp_path, 1.81e9, synchronised=True).admit(chain(1.79e9, 1.90e9))
    without_clock = floor(tmp_path, YEAR_2000_S)
    with pytest.raises(CertificateOver, match="broker expired on 2027-01-15"):
        without_clock.admit(chain(1.79e9, 1.80e9))


def test_a_clock_that_was_set_during_the_handshake_is_believed(tmp_path: Path) -> None:
    board = floor(tmp_path, 1.81e9, synchronised=True)
    with pytest.raises(CertificateOver):
        board.admit(chain(1.79e9, 1.80e9))


def test_a_newer_certificate_is_proof_that_an_older_one_is_over(tmp_path: Path) -> None:
    floor(tmp_path, YEAR_2000_S).admit(chain(1.85e9, 1.90e9))
    with pytest.raises(CertificateOver):
        floor(tmp_path, YEAR_2000_S).admit(chain(1.79e9, 1.80e9))


def test_a_clock_that_is_ahead_and_not_synchronised_raises_nothing(tmp_path: Path) -> None:
    with pytest.raises(CertificateOver):
        floor(tmp_path, 4e9).admit(chain(1.79e9, 1.80e9))
    floor(tmp_path, 1.795e9).admit(chain(1.79e9, 1.80e9))


def test_the_file_is_written_once_a_day_at_most(tmp_path: Path) -> None:
    board = floor(tmp_path, YEAR_2000_S)
    file = tmp_path / "time_floor"
    board.admit(chain(1.79e9, 1.90e9))
    first = file.read_text()
    board.admit(chain(1.79e9 + DAY_S / 2, 1.90e9))
    assert file.read_text() == first
    board.admit(chain(1.79e9 + 2 * DAY_S, 1.90e9))
    assert file.read_text() != first


def test_a_file_that_cannot_be_read_costs_the_time_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "time_floor").write_text("yesterday")
    floor(tmp_path, 1.795e9).admit(chain(1.79e9, 1.80e9))
    assert "knows of no time that is past" in caplog.text


async def state_of(session: Session) -> str:
    state = await until(session, lambda one: one.connected or bool(one.problem))
    return state.problem


def session_of(broker: SiteBroker, floor: TimeFloor) -> Session:
    table = broker.table("edge-1")
    return Session(table, client_id=CLIENT_ID, filters=FILTERS, will=WILL, floor=floor)


def met(broker: SiteBroker, floor: TimeFloor) -> tuple[str, str]:
    """Return what a session says of the broker, nothing when it is connected; and its doubt."""
    said: list[tuple[str, str]] = []

    async def scenario() -> None:
        session = session_of(broker, floor)
        task = asyncio.create_task(session.run())
        said.append((await state_of(session), session.doubt))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    finish(scenario())
    return said[0]


@pytest.mark.broker
def test_over_tls_a_board_without_a_clock_reaches_its_broker_and_tells_of_it(
    tmp_path: Path,
) -> None:
    with SiteBroker(tmp_path / "broker", made(tmp_path / "site", "edge-1")) as broker:
        problem, doubt = met(broker, floor(tmp_path, YEAR_2000_S))
    assert problem == ""
    assert "and was taken" in doubt


@pytest.mark.broker
def test_over_tls_an_expired_broker_stays_expired_for_a_board_without_a_clock(
    tmp_path: Path,
) -> None:
    site = made(
        tmp_path / "site", "edge-1", term=Term(NOW - timedelta(days=60), NOW - timedelta(days=2))
    )
    with SiteBroker(tmp_path / "broker", site) as broker:
        floor(tmp_path, datetime.now(UTC).timestamp(), synchronised=True)._note()
        problem, _ = met(broker, floor(tmp_path, YEAR_2000_S))
    assert "expired on" in problem
