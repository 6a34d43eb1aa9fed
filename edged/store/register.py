"""What stands in the slots, what of it is active, and what is being tried.

In:  what was installed, ordered, found out.     Out: the next `Register`; which slot is free.
Pure. A slot counts from the moment that its record stands here: a half-written one has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from edged.errors import StoreRefused
from edged.store.about import Kind

Slot = Literal["a", "b"]
SLOTS: tuple[Slot, ...] = ("a", "b")
# A trial is loaded so often; a load that ends the engine, or the power, is given one more.
STARTS_MAX = 2


@dataclass(frozen=True, slots=True)
class Record:
    """A bundle that stands whole in a slot.

    Attributes:
        files: path -> SHA-256 of all of it.
        model_file: of a model: its path in the bundle.
        signer: who signed it; None: nobody.
        installed_s: Unix time; that of its certificate's judgement.
        has_templates: of a model: whether it brings its own.
    """

    name: str
    version: int
    root: str
    files: dict[str, str]
    signer: str | None
    installed_s: float
    model_file: str | None = None
    has_templates: bool = False

    @property
    def title(self) -> str:
        """Return its name and version."""
        return f"{self.name} version {self.version}"


@dataclass(frozen=True, slots=True)
class Choice:
    """The slots in force; None: what the configuration names, or what the model's bundle brings."""

    model: Slot | None = None
    templates: Slot | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A choice that has yet to show that it serves.

    Attributes:
        by: who ordered it.
        order: id of the order over MQTT; None: it came another way.
        starts: how often an engine began to load it.
        problem: why it does not serve; None while nothing is known.
    """

    kind: Kind
    choice: Choice
    title: str
    by: str
    order: str | None = None
    starts: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the last trial; `detail` says why it fell back."""

    kind: Kind
    title: str
    by: str
    state: Literal["done", "fell_back"]
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Register:
    """The store's own book.

    Attributes:
        previous: what was in force before the active choice, for a way back.
        floors: "KIND NAME" -> the highest version that was ever active.
    """

    slots: dict[Kind, dict[Slot, Record]] = field(default_factory=dict)
    active: Choice = Choice()
    previous: dict[Kind, Choice] = field(default_factory=dict)
    trial: Trial | None = None
    floors: dict[str, int] = field(default_factory=dict)
    last: Result | None = None

    def record(self, kind: Kind, choice: Choice) -> Record | None:
        """Return the bundle that a choice means; None: one that is in no slot."""
        slot = choice.model if kind == "model" else choice.templates
        return None if slot is None else self.slots.get(kind, {}).get(slot)

    def floor(self, kind: Kind, name: str) -> int:
        """Return the lowest version that may come onto the board."""
        return self.floors.get(f"{kind} {name}", 0)

    def free(self, kind: Kind) -> Slot:
        """Return the slot for the next bundle: an empty one, else one that nothing leads back to.

        The same slot as long as nothing else happens, so that an interrupted installation goes on.

        Raises:
            StoreRefused: one is active and the other is being tried.
        """
        there = self.slots.get(kind, {})
        in_use = [self.active] if self.trial is None else [self.active, self.trial.choice]
        held = {_slot(kind, choice) for choice in in_use}
        back = {_slot(kind, choice) for choice in self.previous.values()}
        open_slots = [slot for slot in SLOTS if slot not in held]
        if not open_slots:
            raise StoreRefused(
                "both slots are in use: one is active, the other is being tried; wait for its end"
            )
        return min(open_slots, key=lambda slot: (slot in back, slot in there, slot))

    def without(self, kind: Kind, slot: Slot) -> Register:
        """Return the register before a slot is written: nothing leads to it any more."""
        there = {name: item for name, item in self.slots.get(kind, {}).items() if name != slot}
        previous = {
            name: choice for name, choice in self.previous.items() if _slot(kind, choice) != slot
        }
        return replace(self, slots={**self.slots, kind: there}, previous=previous)

    def with_record(self, kind: Kind, slot: Slot, record: Record) -> Register:
        """Return the register after a slot was written."""
        there = {**self.slots.get(kind, {}), slot: record}
        return replace(self, slots={**self.slots, kind: there})

    def proposed(self, kind: Kind, slot: Slot) -> Choice:
        """Return what would be in force with a slot active."""
        if kind == "templates":
            return replace(self.active, templates=slot)
        record = self.slots["model"][slot]
        # One signature covers a model with its templates: others would not be what was measured.
        return Choice(slot, None if record.has_templates else self.active.templates)

    def committed(self) -> Register:
        """Return the register after a trial that serves."""
        assert self.trial is not None, "there is a trial to commit"
        trial, kind = self.trial, self.trial.kind
        previous = {**self.previous, kind: self.active}
        if kind == "model":  # the templates before it were chosen for another model
            previous.pop("templates", None)
        return replace(
            self,
            active=trial.choice,
            previous=previous,
            trial=None,
            floors=self._raised(kind, trial.choice),
            last=Result(kind, trial.title, trial.by, "done"),
        )

    def fallen_back(self, detail: str) -> Register:
        """Return the register after a trial that does not serve."""
        assert self.trial is not None, "there is a trial to end"
        trial = self.trial
        result = Result(trial.kind, trial.title, trial.by, "fell_back", detail)
        return replace(self, trial=None, last=result)

    def _raised(self, kind: Kind, choice: Choice) -> dict[str, int]:
        record = self.record(kind, choice)
        if record is None:
            return self.floors
        floor = max(record.version, self.floor(kind, record.name))
        return {**self.floors, f"{kind} {record.name}": floor}


def _slot(kind: Kind, choice: Choice) -> Slot | None:
    return choice.model if kind == "model" else choice.templates
