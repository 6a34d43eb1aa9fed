"""Rows of dock-event: a core phrase, tags for dock and pallet, asides, in a random order.

What a message does not say is null in its answer: a value is labelled exactly when its slot was
written.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from types import ModuleType

from . import dock_event_de, dock_event_en, dock_event_es, labels, noise
from .dock_event_forms import FORMS
from .numbers import written
from .phrase import Phrases, Split, expand, fill, slots
from .pools import draw, draw_number

NAME = "dock-event"
LANGUAGES: dict[str, ModuleType] = {
    "en": dock_event_en,
    "de": dock_event_de,
    "es": dock_event_es,
}
EVENTS = ("arrival", "departure", "damage", "temperature_alarm", "missing_label")
_SEPARATORS = (". ", ". ", ", ", ", ", " - ", " / ", "; ", " ", " ", "\n", "... ", " | ")


def phrase_groups() -> list[Phrases]:
    """Every phrase group of the template, for audits."""
    groups: list[Phrases] = []
    for module in LANGUAGES.values():
        groups += [*module.CORES.values(), module.ASKS, module.ASIDES]
        groups += [module.BENIGN, module.PRELUDES]
    return groups


def row(split: Split, rng: random.Random) -> tuple[str, labels.Answer]:
    """One message and its answer."""
    language = rng.choices(tuple(LANGUAGES), (4, 3, 3))[0]
    event = rng.choices(EVENTS, (3, 3, 5, 5, 4))[0]
    message = _Message(split, language, event, rng)
    text = noise.messy(message.text(), rng)
    return text, labels.dock_event(
        event,
        dock=message.dock,
        pallet=message.pallet,
        damaged_cartons=message.damaged_cartons,
        temperature_c=message.temperature_c,
        asks_for_a_person=message.asks_for_a_person,
    )


@dataclass(slots=True)
class _Message:
    split: Split
    language: str
    event: str
    rng: random.Random
    dock: int | None = None
    pallet: str | None = None
    damaged_cartons: int | None = None
    temperature_c: int | None = None
    asks_for_a_person: bool = False
    fragments: list[str] = field(default_factory=list)

    @property
    def module(self) -> ModuleType:
        return LANGUAGES[self.language]

    def text(self) -> str:
        """Draw all parts; the labels are set on the way."""
        core = self._draw(self.module.CORES[self.event])
        self.fragments = [core, *self._tags(slots(core)), *self._extras()]
        self._order()
        return self._joined()

    def _tags(self, said: frozenset[str]) -> list[str]:
        """Stand-alone mentions of what the core left out."""
        chance = self.rng.random
        tags = []
        if "dock" not in said and chance() < 0.72:
            tags.append(self._dock_tag())
        if "pallet" not in said and chance() < 0.3:
            tags.append("{pallet}")
        if self.event == "damage" and "cartons" not in said and chance() < 0.4:
            tags.append("{cartons}")
        p_temp = 0.55 if self.event == "temperature_alarm" else 0.07
        if "temp" not in said and chance() < p_temp:
            tags.append("{temp}")
        return tags

    def _dock_tag(self) -> str:
        tag = self.rng.choice(("{dock}", "{dock}", "{dock}:", _AT[self.language]))
        return expand(tag, self.rng)

    def _extras(self) -> list[str]:
        extras = []
        if self.rng.random() < 0.2:
            self.asks_for_a_person = True
            extras.append(self._draw(self.module.ASKS))
        calm = self.event in ("arrival", "departure")
        if calm and self.rng.random() < 0.2:
            extras.append(self._draw(self.module.BENIGN))
        for _ in range(self.rng.choices((0, 1, 2), (5, 4, 2))[0]):
            extras.append(self._draw(self.module.ASIDES))
        return extras

    def _order(self) -> None:
        if self.rng.random() < 0.6:
            self.rng.shuffle(self.fragments)
        calm = self.event in ("arrival", "departure")
        if not calm and self.rng.random() < 0.12:
            self.fragments.insert(0, self._draw(self.module.PRELUDES))

    def _joined(self) -> str:
        separator = self.rng.choice(_SEPARATORS)
        text = fill(self.fragments[0], self._slot)
        for fragment in self.fragments[1:]:
            if self.rng.random() < 0.3:
                separator = self.rng.choice(_SEPARATORS)
            text += _joint(text, separator, fragment) + fill(fragment, self._slot)
        return text + self.rng.choice(("", "", "", ".", "!", "!!"))

    def _draw(self, phrases: Phrases) -> str:
        return phrases.draw(self.split, self.rng)

    def _slot(self, name: str) -> str:
        writers = {
            "dock": self._dock,
            "pallet": self._pallet,
            "cartons": self._cartons,
            "temp": self._temp,
        }
        return writers[name]() if name in writers else aside_value(name, self.split, self.rng)

    def _dock(self) -> str:
        self.dock = self.dock or draw_number("dock", self.split, self.rng)
        form = self.rng.choice(FORMS[self.language]["dock"])
        return self._numbered(form, self.dock)

    def _pallet(self) -> str:
        self.pallet = self.pallet or draw("pallet", self.split, self.rng)
        return str(self.rng.choice(FORMS[self.language]["pallet"])).format(d=self.pallet)

    def _cartons(self) -> str:
        if self.damaged_cartons is None and self.rng.random() < 0.1:
            return self.rng.choice(FORMS[self.language]["vague"])
        count = self.damaged_cartons or draw_number("cartons", self.split, self.rng)
        self.damaged_cartons = count
        form = self.rng.choice(FORMS[self.language]["carton" if count == 1 else "cartons"])
        return self._numbered(form.replace("{goods}", draw("goods", self.split, self.rng)), count)

    def _temp(self) -> str:
        kind = "alarm_c" if self.event == "temperature_alarm" else "cargo_c"
        self.temperature_c = draw_number(kind, self.split, self.rng)
        degrees = written(abs(self.temperature_c), self.language, self.rng, p_word=0.06)
        if degrees.isdigit() and self.rng.random() < 0.25:
            degrees += self.rng.choice((".", ",")) + str(self.rng.randint(0, 9))
        if self.temperature_c < 0:
            degrees = self.rng.choice(FORMS[self.language]["minus"]).format(t=degrees)
        form = self.rng.choice(FORMS[self.language]["temp"])
        if self.temperature_c < 0:
            form = form.replace("+", "").replace("plus ", "")
        return str(form).format(t=degrees)

    def _numbered(self, form: str, number: int) -> str:
        word = written(number, self.language, self.rng, p_word=0.22)
        return form.format(n=word, d=number)


def _joint(before: str, separator: str, fragment: str) -> str:
    """The separator, unless it would read as a second colon or as a minus sign."""
    if before.endswith(":"):
        return " "
    return ", " if separator == " - " and fragment.startswith("{temp}") else separator


_AT = {"en": "(at|by|@) {dock}", "de": "(an|bei|am) {dock}", "es": "en {dock}"}


def aside_value(name: str, split: Split, rng: random.Random) -> str:
    """A value that no answer contains: times, orders, names."""
    if name == "small":
        return str(rng.randint(2, 33))
    if name == "plate":
        letters = "".join(rng.choices("ABCDEFGHKLMNPRSTUVWXYZ", k=2))
        return f"{letters}-{rng.randint(10, 99)}-{rng.choice('ABCDEKLMT')}{rng.choice('ABCDEX')}"
    value = draw(name, split, rng)
    return value.replace(":", rng.choice((":", "", ".", "h"))) if name == "clock" else value
