"""Frames come out of a socket whole and in order, however their bytes arrive."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.arrivals import READ_BYTES, Arrivals
from edged.engine.frames import FRAME_BYTES_MAX, LENGTH, Cancel, encode
from edged.errors import EngineLost

Pair = tuple[socket.socket, Arrivals]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield theirs, Arrivals(ours)


def test_frames_of_one_write_come_at_once(pair: Pair) -> None:
    daemon, arrivals = pair
    daemon.sendall(encode(Cancel("a")) + encode(Cancel("b")))
    assert arrivals.read() == [Cancel("a"), Cancel("b")]


def test_a_frame_in_part_waits_for_its_rest(pair: Pair) -> None:
    daemon, arrivals = pair
    whole = encode(Cancel("a")) + encode(Cancel("b"))
    daemon.sendall(whole[:-1])
    assert arrivals.read() == [Cancel("a")]
    daemon.sendall(whole[-1:])
    assert arrivals.read() == [Cancel("b")]


def test_the_end_of_a_connection_is_told(pair: Pair) -> None:
    daemon, arrivals = pair
    daemon.shutdown(socket.SHUT_WR)
    assert arrivals.read() is None


def test_a_length_over_the_limit_is_no_frame(pair: Pair) -> None:
    daemon, arrivals = pair
    daemon.sendall(LENGTH.pack(FRAME_BYTES_MAX + 1))
    with pytest.raises(EngineLost, match="over"):
        arrivals.read()


@given(
    sizes=st.lists(st.sampled_from([0, 1, 100, READ_BYTES]), max_size=4),
    piece_bytes=st.integers(50, READ_BYTES),
)
def test_every_frame_comes_once_and_in_order(sizes: list[int], piece_bytes: int) -> None:
    sent = [Cancel(str(place) + "x" * size) for place, size in enumerate(sizes)]
    stream = b"".join(map(encode, sent))
    found = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        arrivals = Arrivals(ours)
        for start in range(0, len(stream), piece_bytes):
            theirs.sendall(stream[start : start + piece_bytes])
            found += arrivals.read() or []
    assert found == sent
