"""Rows of maintenance-note: asset and fault in a frame, then state, hurry and asides.

In: the phrases of three languages. Out: a note and its work order. A fault is labelled by the
phrase group it was drawn from, hurry and state by the groups that were added.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from types import ModuleType

from . import (
    labels,
    maintenance_de,
    maintenance_en,
    maintenance_es,
    maintenance_faults_de,
    maintenance_faults_en,
    maintenance_faults_es,
    noise,
)
from .dock_event import aside_value
from .numbers import written
from .phrase import Phrases, Split, expand, fill
from .pools import draw_number

NAME = "maintenance-note"
LANGUAGES: dict[str, ModuleType] = {
    "en": maintenance_en,
    "de": maintenance_de,
    "es": maintenance_es,
}
FAULT_WORDS: dict[str, ModuleType] = {
    "en": maintenance_faults_en,
    "de": maintenance_faults_de,
    "es": maintenance_faults_es,
}
ASSETS = tuple(maintenance_en.ASSETS)
FAULTS = tuple(maintenance_faults_en.VERBS)
# What a machine can have; a scanner has no brakes.
_NEVER = {
    "conveyor": ("brakes", "battery"),
    "dock_leveller": ("battery", "brakes", "wheel"),
    "door": ("battery", "brakes", "wheel"),
    "charger": ("brakes", "wheel", "jam"),
    "wrapper": ("brakes", "battery", "wheel"),
    "scanner": ("brakes", "wheel", "leak", "noise"),
    "cooler": ("brakes", "battery", "wheel"),
}
_SEPARATORS = (". ", ". ", ", ", ", ", " - ", "; ", " ", " / ", "! ", "... ", "\n")


def phrase_groups() -> list[Phrases]:
    """Every phrase group of the template, for audits."""
    groups: list[Phrases] = []
    for module in FAULT_WORDS.values():
        groups += [*module.VERBS.values(), *module.NOUNS.values()]
    for module in LANGUAGES.values():
        groups += [*module.HURRY.values(), module.FRAMES, module.OUT_OF_SERVICE, module.ASIDES]
    return groups


def row(split: Split, rng: random.Random) -> tuple[str, labels.Answer]:
    """One note and its work order."""
    language = rng.choices(tuple(LANGUAGES), (4, 3, 3))[0]
    note = _Note(split, language, rng)
    text = noise.messy(note.text(), rng)
    return text, labels.maintenance_note(
        note.asset, note.number, note.fault, out_of_service=note.out_of_service, hurry=note.hurry
    )


@dataclass(slots=True)
class _Note:
    split: Split
    language: str
    rng: random.Random
    asset: str = field(init=False)
    fault: str = field(init=False)
    number: int | None = None
    out_of_service: bool = False
    hurry: str = "normal"

    def __post_init__(self) -> None:
        self.asset = self.rng.choice(ASSETS)
        allowed = [fault for fault in FAULTS if fault not in _NEVER.get(self.asset, ())]
        self.fault = self.rng.choice(allowed)

    @property
    def module(self) -> ModuleType:
        return LANGUAGES[self.language]

    def text(self) -> str:
        """Draw all parts; the labels are set on the way."""
        parts = [self._draw(self.module.FRAMES), *self._state(), *self._asides()]
        if self.rng.random() < 0.35:
            self.rng.shuffle(parts)
        separator = self.rng.choice(_SEPARATORS)
        text = fill(parts[0], self._slot)
        for part in parts[1:]:
            if self.rng.random() < 0.35:
                separator = self.rng.choice(_SEPARATORS)
            text += separator + fill(part, self._slot)
        return text + self.rng.choice(("", "", "", ".", "!", "!!"))

    def _state(self) -> list[str]:
        parts = []
        if self.rng.random() < 0.3:
            self.out_of_service = True
            parts.append(self._draw(self.module.OUT_OF_SERVICE))
        hurry = self.rng.choices(("normal", "urgent", "low"), (4, 3, 3))[0]
        # "No hurry" beside a stopped machine is urgent by rule; few people write it.
        if hurry != "normal" and not (hurry == "low" and self.out_of_service):
            self.hurry = hurry
            parts.append(self._draw(self.module.HURRY[hurry]))
        return parts

    def _asides(self) -> list[str]:
        n_asides = self.rng.choices((0, 1, 2), (5, 4, 2))[0]
        asides = [self._draw(self.module.ASIDES) for _ in range(n_asides)]
        return [aside for aside in asides if not (self.out_of_service and _runs(aside))]

    def _draw(self, phrases: Phrases) -> str:
        return phrases.draw(self.split, self.rng)

    def _slot(self, name: str) -> str:
        if name == "asset":
            return self._asset()
        if name in ("verb", "noun"):
            words = FAULT_WORDS[self.language]
            group = (words.VERBS if name == "verb" else words.NOUNS)[self.fault]
            return fill(self._draw(group), self._slot)
        if name in ("doing", "day"):
            return str(self.rng.choice(self.module.DOING if name == "doing" else self.module.DAYS))
        if name == "code":
            return f"{self.rng.choice(('E', 'F', ''))}{self.rng.randint(1, 99)}"
        return aside_value(name, self.split, self.rng)

    def _asset(self) -> str:
        words = str(self.rng.choice(self.module.ASSETS[self.asset]))
        if self.number is None and self.rng.random() < 0.1:
            return words
        if self.number is None:
            self.number = draw_number("asset_number", self.split, self.rng)
        word = written(self.number, self.language, self.rng, p_word=0.2)
        form = self.rng.choice(self.module.NUMBER_FORMS).format(n=word, d=self.number)
        joint = "" if form.startswith(("-", "#")) and self.rng.random() < 0.5 else " "
        return words + joint + expand(form.replace("(", "<").replace(")", ">"), self.rng)


def _runs(aside: str) -> bool:
    """Whether the aside says that the machine still works."""
    said = ("still", "noch", "funciona", "usar", "aún", "can be used")
    return any(word in aside for word in said)
