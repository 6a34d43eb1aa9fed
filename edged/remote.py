"""Orders over MQTT, where the configuration allows them: `cmd/budget/{id}`.

In:  retained orders, as intake hears them.     Out: the helm's doing; the outcome, retained on the
same topic in the place of the order.
An order that was carried out is no order any more; one without an outcome was not. The board's
session brings what came while it was away, and no retained copies. Who may publish is the broker's
business.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from edged.contract import Inbound, Outbound
from edged.errors import AdminReason, AdminRefused, BrokerGone
from edged.helm import Helm
from edged.mqtt import Session
from edged.orders import Seconds, Watts
from edged.topics import Topics, is_id

log = logging.getLogger(__name__)

# Orders that wait; one beyond stays without an outcome.
WAITING_MAX = 64
AGAIN_S = 0.1


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


class Done(BaseModel):
    """What became of an order; retained in its place.

    Attributes:
        state: `done`, or `refused` with reason and detail.
        warning: what did not go as it should though the order is in force.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str
    state: Literal["done", "refused"]
    budget_w: float | None = None
    reason: AdminReason | None = None
    detail: str | None = None
    warning: str | None = None


class Remote:
    """Carries out orders of the broker's clients, one after another."""

    def __init__(self, topics: Topics, helm: Helm, session: Session) -> None:
        self._topics = topics
        self._helm = helm
        self._session = session
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(WAITING_MAX)

    def hear(self, inbound: Inbound) -> None:
        """Take what came on a command topic; anything else, and our own outcomes, are left."""
        id = self._topics.commanded(inbound.topic)
        if id is None or not inbound.payload or is_outcome(inbound.payload):
            return
        try:
            self._waiting.put_nowait((id, inbound.payload))
        except asyncio.QueueFull:
            log.warning("more than %d orders wait; %s is left", WAITING_MAX, inbound.topic)

    async def run(self) -> None:
        """Carry out orders until cancelled."""
        while True:
            id, payload = await self._waiting.get()
            done = await self._carry_out(id, payload)
            body = done.model_dump_json(exclude_none=True).encode()
            topic = self._topics.command(id)
            await self._tell(Outbound(topic, body, retain=True, content_type="application/json"))

    async def _tell(self, outcome: Outbound) -> None:
        """Publish an outcome; a broker sends orders before it has acknowledged the subscription."""
        while True:
            await self._session.connected()
            try:
                await self._session.publish(outcome)
            except BrokerGone:
                await asyncio.sleep(AGAIN_S)  # the session has yet to notice
            else:
                return

    async def _carry_out(self, id: str, payload: bytes) -> Done:
        try:
            warning = await self._order(id, read_command(id, payload))
        except AdminRefused as error:
            log.info("order %s over MQTT: %s", id, error.detail)
            return Done(id=id, state="refused", reason=error.reason, detail=error.detail)
        budget_w = self._helm.budget.budget_w
        return Done(id=id, state="done", budget_w=budget_w, warning=warning)

    async def _order(self, id: str, command: BudgetCommand) -> str | None:
        by = f"mqtt {id}"
        if command.budget_w is None:
            return await self._helm.reset_budget(by)
        return await self._helm.order_budget(command.budget_w, command.peak_w, by, command.for_s)


def read_command(id: str, payload: bytes) -> BudgetCommand:
    """Return the order in a payload.

    Raises:
        AdminRefused: `malformed`, with key and reason.
    """
    if not is_id(id):
        raise AdminRefused("malformed", "the topic's last level must match [A-Za-z0-9_.-]{1,64}")
    try:
        return BudgetCommand.model_validate_json(payload)
    except ValidationError as error:
        problems = (".".join(map(str, item["loc"])) + f": {item['msg']}" for item in error.errors())
        raise AdminRefused("malformed", "; ".join(problems).removeprefix(": ")) from error


def is_outcome(payload: bytes) -> bool:
    """Return whether a payload is what became of an order."""
    try:
        Done.model_validate_json(payload)
    except ValidationError:
        return False
    return True
