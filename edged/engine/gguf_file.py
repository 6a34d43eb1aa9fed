"""Is this file a whole GGUF, and what does its header say?

In:  a path.     Out: `GgufHeader`, or `EngineUnusable` with what is wrong and what to do.
llama.cpp maps the file: one that ends early is a SIGBUS in the middle of an answer, so every
tensor's end is compared with the file's size first.
Source: GGUF specification, versions 2 and 3 (ggml/docs/gguf.md in the ggml repository).
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.errors import EngineUnusable

COUNT_MAX = 1_000_000  # tensors, keys; a vocabulary has some 250,000 strings
NUMBER_MAX = 2**31 - 1  # of anything that a model has so many of
LAYERS_MAX = 10_000
LISTS_DEEP_MAX = 4  # lists inside lists; nobody writes any
SCALARS_MAX = 1024  # a list of one number per layer is kept, one of a number per token skipped
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9
# Source: ggml.c of llama.cpp 0c1e57098, type_traits: id -> weights per block, bytes per block.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56),
    30: (1, 2),
}  # fmt: skip


# Source: ggml.h of the same commit, enum ggml_type.
KINDS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K",
    11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS",
    19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 30: "BF16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file.

    Attributes:
        kind: ggml's name of its type, or the type's number where that is not known here.
        shape: the fastest dimension first, as GGUF has it: a matrix is (inputs, outputs).
        offset: behind the first tensor's start.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    offset: int
    size_bytes: int

    @property
    def weights(self) -> int:
        """Return how many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself.

    Attributes:
        keys: metadata; long arrays of numbers are left out, of texts only their number is kept.
        tensor_bytes: of all weights.
        tensors: in the order of the file.
    """

    architecture: str
    keys: Mapping[str, Any]
    tensor_bytes: int
    tensors: tuple[Tensor, ...] = ()

    def number(self, name: str) -> int:
        """Return a number of this architecture, or 0 when it has none; of a list, the greatest.

        Raises:
            EngineUnusable: it is none, or far from what any model has.
        """
        value = self.keys.get(f"{self.architecture}.{name}", 0)
        listed = value if isinstance(value, list) else [value]
        return max((self._sane(name, one) for one in listed), default=0)

    def numbers(self, name: str, count: int) -> list[int]:
        """Return a number for each of `count` layers: a list's own, or the same for all.

        Raises:
            EngineUnusable: as for `number`; or there are too many layers.
        """
        if count > LAYERS_MAX:
            raise EngineUnusable(f"the model's header is damaged: it counts {count} layers")
        value = self.keys.get(f"{self.architecture}.{name}", 0)
        listed = value if isinstance(value, list) else [value] * count
        return [self._sane(name, one) for one in [*listed, *[0] * count][:count]]

    def _sane(self, name: str, value: object) -> int:
        if isinstance(value, int | float) and 0 <= value <= NUMBER_MAX:
            return int(value)
        raise EngineUnusable(
            f"the model's header is damaged: {self.architecture[:40]}.{name} = {str(value)[:40]}; "
            "copy the file again"
        )


def read_header(path: Path) -> GgufHeader:
    """Return the header of a GGUF file whose tensors are all there.

    Raises:
        EngineUnusable: missing, unreadable, not a GGUF, or cut off.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(path, data).header()
    except (OSError, ValueError) as error:  # ValueError: mmap of an empty file
        raise EngineUnusable(f"{path}: the model file cannot be read: {error}") from error


class _Reader:
    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data
        self._at = 0

    def header(self) -> GgufHeader:
        if self._data[:4] != b"GGUF":
            raise EngineUnusable(f"{self._path}: this is not a GGUF file; give model.path one")
        self._at = 4
        version = self._number("I")
        if version not in (2, 3):
            raise EngineUnusable(f"{self._path}: GGUF version {version}; 2 and 3 can be read")
        n_tensors, n_keys = self._count(), self._count()
        keys = dict(self._pair() for _ in range(n_keys))
        tensors = tuple(self._tensor() for _ in range(n_tensors))
        alignment = keys.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= NUMBER_MAX:
            raise EngineUnusable(f"{self._path}: the header is damaged: general.alignment")
        start = -(-self._at // alignment) * alignment
        ends = [one.offset + one.size_bytes for one in tensors]
        if ends:
            self._check_whole(start + max(ends))
        tensor_bytes = sum(one.size_bytes for one in tensors)
        return GgufHeader(str(keys.get("general.architecture", "")), keys, tensor_bytes, tensors)

    def _check_whole(self, needed_bytes: int) -> None:
        if needed_bytes > len(self._data):
            raise EngineUnusable(
                f"{self._path}: the file is cut off: its tensors end at byte {needed_bytes}, "
                f"the file has {len(self._data)}; copy it again"
            )

    def _pair(self) -> tuple[str, Any]:
        name = self._string()
        return name, self._value(self._number("I"))

    def _value(self, kind: int, deep: int = 0) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array(self._number("I"), deep + 1)
        return self._number(self._scalar(kind))

    def _array(self, kind: int, deep: int) -> list[Any]:
        count = self._count()
        if deep > LISTS_DEEP_MAX:
            raise EngineUnusable(f"{self._path}: the header is damaged: lists in lists in lists")
        if kind == _STRING and count > SCALARS_MAX:
            return self._skipped(count)
        if kind in (_STRING, _ARRAY) or count <= SCALARS_MAX:
            return [self._value(kind, deep) for _ in range(count)]
        self._at += count * struct.calcsize(self._scalar(kind))
        return []

    def _skipped(self, count: int) -> list[Any]:
        """Pass so many texts, a vocabulary's; return a list of their number."""
        for _ in range(count):
            length = self._number("Q")
            self._at += length
        return [""] * count

    def _tensor(self) -> Tensor:
        name = self._string()
        shape = tuple(int(self._number("Q")) for _ in range(min(self._number("I"), 8)))
        number = self._number("I")
        per_block, block_bytes = _BLOCKS.get(number, (1, 0))
        offset = self._number("Q")
        size_bytes = math.prod(shape) // per_block * block_bytes
        return Tensor(name, KINDS.get(number, str(number)), shape, offset, size_bytes)

    def _string(self) -> str:
        length = self._number("Q")
        end = self._at + length
        self._check_whole(end)
        text = self._data[self._at : end].decode("utf-8", "replace")
        self._at = end
        return text

    def _count(self) -> int:
        count = int(self._number("Q"))
        if count > COUNT_MAX:
            raise EngineUnusable(f"{self._path}: the header is damaged: it counts {count} entries")
        return count

    def _number(self, kind: str) -> Any:
        size = struct.calcsize("<" + kind)
        self._check_whole(self._at + size)
        (value,) = struct.unpack_from("<" + kind, self._data, self._at)
        self._at += size
        return value

    def _scalar(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise EngineUnusable(f"{self._path}: the header is damaged: value type {kind}")
        return _SCALARS[kind]
