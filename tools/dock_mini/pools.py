"""Value pools: which numbers, codes, names and series each split may use.

A pool exists once per split, under three names. By its checksum a value belongs to training or to
evaluation, so that no value seen in training returns in evaluation. Calibration has words of its
own; of numbers and codes there are no others left, so it draws from a quarter of training's.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

from .phrase import Split

# One value in five is held out.
_PARTS = 5
_PARTS_OF = {Split.TRAIN: range(1, _PARTS), Split.CALIBRATION: (1,), Split.HELD_OUT: (0,)}


@dataclass(frozen=True, slots=True)
class Pool:
    """Values of one kind for one split.

    Attributes:
        kind: what the values are, for example `dock`.
        split: the split that may draw from it.
        any_value: draws one value of the kind, whatever its split.
    """

    kind: str
    split: Split
    any_value: Callable[[random.Random], str]

    @property
    def name(self) -> str:
        """The pool's name, unique over kinds and splits."""
        return f"{self.kind}:{self.split}"

    def draw(self, rng: random.Random) -> str:
        """A value that belongs to this split."""
        while not belongs(self.kind, value := self.any_value(rng), self.split):
            pass
        return value


def belongs(kind: str, value: str, split: Split) -> bool:
    """Whether a split may draw a value of a kind; fixed for ever."""
    own = _CALIBRATION_WORDS.get(kind)
    if split is Split.CALIBRATION and own is not None:
        return value in own.split()
    return crc32(f"{kind}={value}".encode()) % _PARTS in _PARTS_OF[split]


def pool(kind: str, split: Split) -> Pool:
    """The pool of one kind for one split."""
    own = _CALIBRATION_WORDS.get(kind)
    if split is Split.CALIBRATION and own is not None:
        return Pool(kind, split, _word(own))
    return Pool(kind, split, KINDS[kind])


def draw(kind: str, split: Split, rng: random.Random) -> str:
    """A value of `kind` that belongs to `split`."""
    return pool(kind, split).draw(rng)


def draw_number(kind: str, split: Split, rng: random.Random) -> int:
    """A whole number of `kind` that belongs to `split`."""
    return int(draw(kind, split, rng))


def _number(low: int, high: int) -> Callable[[random.Random], str]:
    return lambda rng: str(rng.randint(low, high))


def _either(*ranges: tuple[int, int]) -> Callable[[random.Random], str]:
    return lambda rng: str(rng.randint(*rng.choice(ranges)))


def _digits(*lengths: int) -> Callable[[random.Random], str]:
    def any_value(rng: random.Random) -> str:
        length = rng.choice(lengths)
        first = rng.choice("123456789")
        return first + "".join(rng.choices("0123456789", k=length - 1))

    return any_value


def _code(n_letters: int, n_digits: int) -> Callable[[random.Random], str]:
    def any_value(rng: random.Random) -> str:
        letters = rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=n_letters)
        return "".join(letters) + "".join(rng.choices("0123456789", k=n_digits))

    return any_value


def _word(words: str) -> Callable[[random.Random], str]:
    return lambda rng: rng.choice(words.split())


_NAMES = """
Adler Baker Costa Diaz Ellis Fischer Garcia Hansen Ivers Jansen Keller Lopez Maurer Nowak Olsen
Peters Quist Romero Sanchez Tanner Ulrich Vargas Wagner Young Zeller Brandt Castro Duran Ebert
Franke Gomez Huber Iglesias Jung Klein Lorenz Moreno Neumann Ortega Pohl Ramos Schulz Torres
Krause Vidal Winter Bauer Serrano Molina Roth Busch Cano Dietz Engel Ferrer Graf Heinz Nieto
"""
_FIRMS = """
Nordfracht Transalp Rapido Cargolux Hellmut Kaltweg Frigotrans Ostra Bluewave Veloz Translog
Hansatrans Iberfrio Polarline Quickhaul Raben Silverway Tramex Unitrans Viatrans Westhaul Alfa
Boreal Camino Delta Eurovia Fastlane Gebhard Horizonte Interlog
"""
_TOWNS = """
Bremen Kassel Ulm Jena Erfurt Hamburg Leipzig Koblenz Bonn Essen Aachen Trier Worms Fulda Gera
Hagen Passau Rostock Siegen Speyer Stade Wesel Zwickau Malaga Bilbao Burgos Cadiz Gijon Huesca
Leon Lugo Merida Murcia Oviedo Toledo Vigo Leeds Derby Hull Luton Poole Stoke Truro Wigan Bolton
"""
_GOODS = """
milk butter cheese yoghurt salad fish meat chicken vaccines insulin flowers berries pizza peas
spinach fries icecream prawns juice eggs ham sausage cream pasta dough lettuce mushrooms herbs
lasagne nuggets salmon cod tofu hummus
"""

_CALIBRATION_WORDS = {
    "name": """
Albers Becker Cortes Dahl Esser Foster Gruber Herrera Ibarra Jordan Kramer Linden Mendez Norton
Otto Prieto Rivas Seidel Tobias Urban Velasco Weber Zander
""",
    "firm": """
Arcotrans Baltica Cargomax Duoline Ecohaul Flottrans Granada Hafenlog Intertir Jetfreight Lognord
Mareline Oceanis Primafrio Rheinlog Sudtrans Terralog
""",
    "town": """
Aalen Bamberg Celle Dessau Emden Goslar Hanau Kiel Landau Minden Neuss Plauen Soest Avila Cuenca
Denia Jaca Lorca Soria Teruel Bath Crewe Dover Exeter Leigh Oldham Ripon
""",
    "goods": """
apples bacon beans carrots cherries crab curd grapes ketchup kefir leeks melons mussels onions
pears quark ravioli shrimps soup steaks trout tulips turkey waffles
""",
}

KINDS: dict[str, Callable[[random.Random], str]] = {
    "dock": _either((1, 48), (1, 99)),
    "pallet": _digits(4, 5, 5, 6),
    "cartons": _either((1, 9), (2, 9), (10, 40), (10, 99), (100, 240)),
    "alarm_c": _either((3, 9), (3, 9), (10, 19), (20, 34), (-17, -1)),
    "cargo_c": _either((1, 8), (-25, -18)),
    "asset_number": _either((1, 30), (1, 99)),
    "shipment": _code(2, 6),
    "postcode": lambda rng: "".join(rng.choices("0123456789", k=5)),
    "pieces": _either((1, 9), (10, 99)),
    "weight_kg": _either((1, 9), (10, 99), (100, 600)),
    "item": _code(1, 3),
    "bin": _code(1, 2),
    "quantity": _either((0, 9), (10, 99), (10, 99), (100, 900)),
    "name": _word(_NAMES),
    "firm": _word(_FIRMS),
    "town": _word(_TOWNS),
    "goods": _word(_GOODS),
    "order": _digits(6, 7, 8),
    "clock": lambda rng: f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}",
}
