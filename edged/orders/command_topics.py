"""What is said on the command topics: orders, and what became of them.

In:  payloads.     Out: frozen orders, or a refusal that names key and reason; outcomes.
Pure.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edged.errors import AdminReason, AdminRefused
from edged.misfits import misfits
from edged.orders.kept import Mode, Seconds, Watts
from edged.topics import Command, What, is_id


class BudgetCommand(BaseModel):
    """An order: watts, for so many seconds or until another order; or the configured budget."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    budget_w: Watts | None = None
    peak_w: Watts | None = None
    for_s: Seconds | None = None
    reset: Literal[True] | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> BudgetCommand:
        is_plain = self.peak_w is None and self.for_s is None
        if (self.budget_w is None) != (self.reset is True) or (self.reset and not is_plain):
            raise ValueError('give budget_w, with peak_w and for_s if wanted; or {"reset":true}')
        return self


class DrainCommand(BaseModel):
    """An order: refuse new prompts, for so many seconds or until another order; or serve again."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    drain: Literal[True] | None = None
    for_s: Seconds | None = None
    resume: Literal[True] | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> DrainCommand:
        if (self.drain is True) == (self.resume is True) or (self.resume and self.for_s):
            raise ValueError('give {"drain":true}, with for_s if wanted; or {"resume":true}')
        return self


class ActivateCommand(BaseModel):
    """An order: a bundle of the store by name and version; or what was active before."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    activate: str | None = Field(None, min_length=1, max_length=64)
    version: int | None = Field(None, ge=1)
    rollback: Literal[True] | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> ActivateCommand:
        named = (self.activate is not None, self.version is not None)
        if named not in ((True, True), (False, False)) or named[0] == (self.rollback is True):
            raise ValueError('give activate (a name) with version; or {"rollback":true}')
        return self


class Done(BaseModel):
    """What became of an order; retained in its place.

    Attributes:
        state: `done`; `refused` with reason and detail; of a model or templates `trying`, while
            they show whether they serve, and `fell_back` with detail where they did not.
        mode: `service.mode` in force, of a drain.
        title: name and version of the bundle.
        warning: what did not go as it should though the order is in force.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str
    state: Literal["done", "refused", "trying", "fell_back"]
    budget_w: float | None = None
    mode: Mode | None = None
    title: str | None = None
    reason: AdminReason | None = None
    detail: str | None = None
    warning: str | None = None


_FORMS: dict[What, type[BudgetCommand | DrainCommand | ActivateCommand]] = {
    "budget": BudgetCommand,
    "drain": DrainCommand,
    "model": ActivateCommand,
    "templates": ActivateCommand,
}


def read_command(
    command: Command, payload: bytes
) -> BudgetCommand | DrainCommand | ActivateCommand:
    """Return the order in a payload.

    Raises:
        AdminRefused: `malformed`, with key and reason.
    """
    if not is_id(command.id):
        raise AdminRefused("malformed", "the topic's last level must match [A-Za-z0-9_.-]{1,64}")
    try:
        return _FORMS[command.what].model_validate_json(payload)
    except ValidationError as error:
        problems = "; ".join(misfits(error)).removeprefix(": ")
        raise AdminRefused("malformed", problems) from error


def is_outcome(payload: bytes) -> bool:
    """Return whether a payload is what became of an order."""
    try:
        Done.model_validate_json(payload)
    except ValidationError:
        return False
    return True
