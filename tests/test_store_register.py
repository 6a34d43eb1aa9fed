"""The register keeps its promises whatever is installed, tried, kept and given up, in any order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edged.store.about import Kind
from edged.store.register import Choice, Record, Register, Trial
from edged.store.register_file import _JSON

KINDS = st.sampled_from(("model", "templates"))


def slot_of(kind: Kind, choice: Choice) -> str | None:
    return choice.model if kind == "model" else choice.templates


class Orders(RuleBasedStateMachine):
    """Whatever the people of a board do with its store."""

    def __init__(self) -> None:
        super().__init__()
        self.register = Register()
        self.highest: dict[str, int] = {}
        self.number = 0

    def tried(self, kind: Kind, choice: Choice) -> None:
        """Begin a trial."""
        self.register = replace(self.register, trial=Trial(kind, choice, "it", "test"))

    @rule(kind=KINDS, version=st.integers(1, 9), has_templates=st.booleans())
    def install(self, kind: Kind, version: int, has_templates: bool) -> None:
        in_use = [self.register.active]
        in_use += [] if self.register.trial is None else [self.register.trial.choice]
        if {slot_of(kind, choice) for choice in in_use} == {"a", "b"}:
            return
        slot = self.register.free(kind)
        assert slot not in {slot_of(kind, choice) for choice in in_use}
        self.number += 1
        record = Record("own", version, str(self.number), {}, None, 0.0, None, has_templates)
        emptied = self.register.without(kind, slot)
        assert all(slot_of(kind, choice) != slot for choice in emptied.previous.values())
        self.register = emptied.with_record(kind, slot, record)

    @precondition(lambda self: self.register.trial is None)
    @rule(kind=KINDS, slot=st.sampled_from(("a", "b")))
    def activate(self, kind: Kind, slot: str) -> None:
        for there, _ in self.register.slots.get(kind, {}).items():
            if there == slot and slot_of(kind, self.register.active) != slot:
                self.tried(kind, self.register.proposed(kind, there))

    @precondition(lambda self: self.register.trial is None)
    @rule(kind=KINDS)
    def roll_back(self, kind: Kind) -> None:
        if kind in self.register.previous:
            self.tried(kind, self.register.previous[kind])

    @precondition(lambda self: self.register.trial is not None)
    @rule()
    def keep(self) -> None:
        assert self.register.trial is not None
        before, trial = self.register.active, self.register.trial
        self.register = self.register.committed()
        assert self.register.active == trial.choice
        assert self.register.previous[trial.kind] == before

    @precondition(lambda self: self.register.trial is not None)
    @rule()
    def give_up(self) -> None:
        before = self.register.active
        self.register = self.register.fallen_back("no")
        assert self.register.active == before

    @invariant()
    def what_is_in_force_and_the_way_back_stand_whole(self) -> None:
        choices = [self.register.active, *self.register.previous.values()]
        for choice in choices:
            for kind in ("model", "templates"):
                assert slot_of(kind, choice) is None or self.register.record(kind, choice)

    @invariant()
    def no_version_is_forgotten(self) -> None:
        for key, version in self.highest.items():
            assert self.register.floors[key] >= version
        self.highest = dict(self.register.floors)

    @invariant()
    def the_file_gives_it_back(self) -> None:
        assert _JSON.validate_json(_JSON.dump_json(self.register)) == self.register


TestOrders = Orders.TestCase
