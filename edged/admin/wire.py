"""What is said on the admin socket: one JSON line asks, one JSON line answers.

In:  a line.     Out: one of these frozen models, and back. Unknown commands and keys are errors.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edged.errors import AdminReason, AdminRefused
from edged.misfits import misfits
from edged.orders.kept import Seconds, Watts
from edged.store.about import Kind
from edged.store.register import Slot

# The longest order is far below; the state grows with the names of templates.
ASK_BYTES_MAX = 4096
ANSWER_BYTES_MAX = 4 * 2**20

Setting = Literal["service", "budget"]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Ask(_Line):
    """What all asks say.

    Attributes:
        state_dir: of the board that is meant, without links; None: whichever daemon answers.
    """

    state_dir: str | None = None


class StatusAsk(_Ask):
    """Say how the board is."""

    command: Literal["status"] = "status"


class ResumeAsk(_Ask):
    """Take and start prompts again."""

    command: Literal["resume"] = "resume"


class HoldAsk(_Ask):
    """Pause or drain, for so many seconds or until resumed."""

    command: Literal["pause", "drain"]
    for_s: Seconds | None = None


class SetBudgetAsk(_Ask):
    """Hold these watts, for so many seconds or until reset; `peak_w` unset: as configured."""

    command: Literal["set_budget"] = "set_budget"
    budget_w: Watts
    peak_w: Watts | None = None
    for_s: Seconds | None = None


class ResetBudgetAsk(_Ask):
    """Hold the configured budget again."""

    command: Literal["reset_budget"] = "reset_budget"


class ActivateAsk(_Ask):
    """Try what stands in a slot of the store, and keep it if it serves; unset: the newest."""

    command: Literal["activate"] = "activate"
    kind: Kind
    slot: Slot | None = None


class RollbackAsk(_Ask):
    """Try what was active before, and keep it if it serves."""

    command: Literal["rollback"] = "rollback"
    kind: Kind


Ask = StatusAsk | ResumeAsk | HoldAsk | SetBudgetAsk | ResetBudgetAsk | ActivateAsk | RollbackAsk


class Answer(_Line):
    """What the daemon says to an ask.

    Attributes:
        reason, detail: why it was refused; both None where it was not.
        warning: what did not go as it should though the order is in force.
        state: as the retained `state` topic carries it; None where it was refused.
        left_s: seconds until `service` and `budget` end by themselves; None: they do not.
    """

    reason: AdminReason | None = None
    detail: str | None = None
    warning: str | None = None
    state: dict[str, Any] | None = None
    left_s: dict[Setting, float | None] = Field(default_factory=dict)


_ASK: TypeAdapter[Ask] = TypeAdapter(Annotated[Ask, Field(discriminator="command")])


def read_ask(line: bytes) -> Ask:
    """Return what a line asks for.

    Raises:
        AdminRefused: `malformed`, with key and reason.
    """
    try:
        return _ASK.validate_json(line)
    except ValidationError as error:
        raise AdminRefused("malformed", "; ".join(misfits(error))) from error


def line_of(message: _Line) -> bytes:
    """Return a message as a line."""
    return message.model_dump_json().encode() + b"\n"
