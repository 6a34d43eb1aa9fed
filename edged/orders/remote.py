"""Orders over MQTT, where the configuration allows them: `cmd/{budget,drain,model,templates}/{id}`.

In:  retained orders, as intake hears them.     Out: the helm's doing and the activation's; the
outcome, retained on the same topic in the place of the order, and before it that a trial runs.
An order that was carried out is no order any more; one without an outcome was not. The board's
session brings what came while it was away, and no retained copies. Who may publish is the broker's
business.
"""

from __future__ import annotations

import asyncio
import logging

from edged.activation import Activation
from edged.contract import Inbound, Outbound
from edged.errors import AdminRefused, BrokerGone
from edged.mqtt import Session
from edged.orders.command_topics import (
    ActivateCommand,
    BudgetCommand,
    Done,
    DrainCommand,
    is_outcome,
    read_command,
)
from edged.orders.helm import Helm
from edged.orders.kept import Mode
from edged.store.about import Kind
from edged.store.register import Result, Trial
from edged.topics import Command, Topics

log = logging.getLogger(__name__)

# Orders that wait; one beyond stays without an outcome.
WAITING_MAX = 64
AGAIN_S = 0.1


class Remote:
    """Carries out orders of the broker's clients, one after another."""

    def __init__(
        self, topics: Topics, helm: Helm, activation: Activation, session: Session
    ) -> None:
        self._topics = topics
        self._helm = helm
        self._activation = activation
        self._session = session
        self._waiting: asyncio.Queue[tuple[Command, bytes]] = asyncio.Queue(WAITING_MAX)
        self._telling: asyncio.Queue[tuple[Command, Done]] = asyncio.Queue()
        activation.ended = self._ended

    def hear(self, inbound: Inbound) -> None:
        """Take what came on a command topic; anything else, and our own outcomes, are left."""
        command = self._topics.commanded(inbound.topic)
        if command is None or not inbound.payload or is_outcome(inbound.payload):
            return
        try:
            self._waiting.put_nowait((command, inbound.payload))
        except asyncio.QueueFull:
            log.warning("more than %d orders wait; %s is left", WAITING_MAX, inbound.topic)

    async def run(self) -> None:
        """Carry out orders until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._carry_out_all(), name="orders")
            tasks.create_task(self._tell_all(), name="outcomes of orders")

    async def _carry_out_all(self) -> None:
        while True:
            command, payload = await self._waiting.get()
            self._telling.put_nowait((command, await self._carry_out(command, payload)))

    async def _tell_all(self) -> None:
        while True:
            command, done = await self._telling.get()
            body = done.model_dump_json(exclude_none=True).encode()
            topic = self._topics.command(command)
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

    async def _carry_out(self, command: Command, payload: bytes) -> Done:
        try:
            match read_command(command, payload):
                case BudgetCommand() as order:
                    return await self._order_budget(command.id, order)
                case DrainCommand() as order:
                    return await self._order_mode(command.id, order)
                case ActivateCommand() as order:
                    kind: Kind = "model" if command.what == "model" else "templates"
                    return await self._order_bundle(kind, command.id, order)
        except AdminRefused as error:
            log.info("order %s over MQTT: %s", command.id, error.detail)
            return Done(id=command.id, state="refused", reason=error.reason, detail=error.detail)

    async def _order_budget(self, id: str, order: BudgetCommand) -> Done:
        by = f"mqtt {id}"
        if order.budget_w is None:
            warning = await self._helm.reset_budget(by)
        else:
            warning = await self._helm.order_budget(order.budget_w, order.peak_w, by, order.for_s)
        budget_w = self._helm.budget.budget_w
        return Done(id=id, state="done", budget_w=budget_w, warning=warning)

    async def _order_mode(self, id: str, order: DrainCommand) -> Done:
        mode = Mode.SERVING if order.resume else Mode.DRAINING
        warning = await self._helm.order(mode, f"mqtt {id}", order.for_s)
        return Done(id=id, state="done", mode=self._helm.mode, warning=warning)

    async def _order_bundle(self, kind: Kind, id: str, order: ActivateCommand) -> Done:
        by = f"mqtt {id}"
        if order.activate is None or order.version is None:
            title = await self._activation.roll_back(kind, by, id)
        else:
            title = await self._activation.activate_titled(
                kind, order.activate, order.version, by, id
            )
        return Done(id=id, state="trying", title=title)

    def _ended(self, trial: Trial, result: Result) -> None:
        """Tell what became of a trial, where it was ordered over MQTT."""
        if trial.order is not None:
            done = Done(
                id=trial.order, state=result.state, title=result.title, detail=result.detail
            )
            self._telling.put_nowait((Command(trial.kind, trial.order), done))
