"""Makes inputs: a seed with some of its bytes changed, cut, doubled, or swapped with another's.

In:  seeds, a random generator.     Out: bytes; the same generator gives the same ones.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

LENGTH_MAX = 100_000
CHANGES_MAX = 6
# Of the inputs that a disk makes, so many have bytes moved.
MOVED_SHARE = 0.1
SECTOR_BYTES = 512
# What readers of text and of binary headers trip over.
PIECES = (
    *(b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b"\0", b"\xff", b"\xed\xa0\x80"),
    *(
        b"null",
        b"true",
        b"NaN",
        b"Infinity",
        b"1e999",
        b"-0",
        b"9" * 400,
        b"1e-400",
        b"\xe2\x80\xae",
    ),
    *(b"/", b"+", b"#", b"$", b"~", b"\r\n", b"\xef\xbb\xbf", b"[" * 3000, b'{"a":' * 300),
    *(number.to_bytes(8, "little") for number in (0, 1, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1)),
    *(number.to_bytes(4, "big") for number in (2**16 - 1, 2**31, 2**32 - 1)),
)

_Change = Callable[[bytearray, Sequence[bytes], Sequence[bytes], Random], None]


def mutated(seeds: Sequence[bytes], pieces: Sequence[bytes], random: Random) -> bytes:
    """Return an input made of one of the seeds."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.randint(1, CHANGES_MAX)):
        random.choice(_CHANGES)(data, seeds, pieces, random)
    return bytes(data[:LENGTH_MAX])


def overwritten(seeds: Sequence[bytes], pieces: Sequence[bytes], random: Random) -> bytes:
    """Return an input as a disk makes it: mostly as long as its seed, some bytes of it others."""
    if random.random() < MOVED_SHARE:
        return mutated(seeds, pieces, random)
    data = bytearray(random.choice(seeds))
    for _ in range(random.randint(1, CHANGES_MAX)):
        random.choice((_flip, _set, _blank))(data, seeds, pieces, random)
    return bytes(data)


def _blank(data: bytearray, _: Sequence[bytes], __: Sequence[bytes], random: Random) -> None:
    """Write a sector with zeros, or with noise."""
    first = random.randrange(0, max(1, len(data)), SECTOR_BYTES)
    length = len(data[first : first + SECTOR_BYTES])
    data[first : first + length] = random.choice((bytes(length), random.randbytes(length)))


def _flip(data: bytearray, _: Sequence[bytes], __: Sequence[bytes], random: Random) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set(data: bytearray, _: Sequence[bytes], __: Sequence[bytes], random: Random) -> None:
    if data:
        data[random.randrange(len(data))] = random.randrange(256)


def _cut(data: bytearray, _: Sequence[bytes], __: Sequence[bytes], random: Random) -> None:
    first, last = _span(data, random)
    del data[first:last]


def _double(data: bytearray, _: Sequence[bytes], __: Sequence[bytes], random: Random) -> None:
    first, last = _span(data, random)
    data[first:first] = data[first:last]


def _put(data: bytearray, _: Sequence[bytes], pieces: Sequence[bytes], random: Random) -> None:
    place = random.randint(0, len(data))
    data[place:place] = random.choice([*pieces, *PIECES])


def _replace(data: bytearray, _: Sequence[bytes], pieces: Sequence[bytes], random: Random) -> None:
    first, last = _span(data, random)
    data[first:last] = random.choice([*pieces, *PIECES])


def _swap(data: bytearray, seeds: Sequence[bytes], __: Sequence[bytes], random: Random) -> None:
    other = random.choice(seeds)
    first, last = _span(bytearray(other), random)
    data[random.randint(0, len(data)) :] = other[first:last]


def _span(data: bytearray, random: Random) -> tuple[int, int]:
    """Return a stretch of the data, mostly a short one."""
    first = random.randint(0, len(data))
    longest = random.choice((1, 4, 16, len(data)))
    return first, min(len(data), first + random.randint(0, longest))


_CHANGES: tuple[_Change, ...] = (_flip, _set, _cut, _double, _put, _replace, _swap)
