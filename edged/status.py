"""What the board says of itself: availability, state and templates, retained at the broker.

In:  the parts' own figures.     Out: retained messages, on change and at most every 10 s; the line
that systemd shows.
An idle board publishes nothing: the loop sleeps until something changed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import edged
from edged import config
from edged.activation import Activation
from edged.board.sysfs import SYS
from edged.board.thermal import hottest_c
from edged.contract import Outbound
from edged.diary import Diary
from edged.dispatch import Dispatch
from edged.engine.client import EngineClient
from edged.engine.state import EngineState
from edged.errors import BrokerGone
from edged.first_of import first_of
from edged.intake import Intake
from edged.metrics import Figures
from edged.mqtt import Session
from edged.orders.helm import Helm
from edged.orders.kept import Mode
from edged.power.governor import Governor
from edged.service import Service
from edged.site import Site
from edged.spool.disk import prompt_bytes
from edged.spool.queue import Spool
from edged.topics import Topics

STATE_EVERY_S = 10.0
LINE_EVERY_S = 1.0
AGAIN_S = 0.1


def availability(topics: Topics, word: str) -> Outbound:
    """Return the retained `online` or `offline`."""
    return Outbound(topics.availability, word.encode(), retain=True)


class Status:
    """Publishes the board's state while connected."""

    def __init__(
        self,
        config: config.Config,
        site: Site,
        session: Session,
        spool: Spool,
        engine: EngineClient,
        dispatch: Dispatch,
        diary: Diary,
        intake: Intake,
        power: Governor,
        service: Service,
        helm: Helm,
        activation: Activation,
    ) -> None:
        self._config = config
        self._site = site
        self._session = session
        self._spool = spool
        self._engine = engine
        self._dispatch = dispatch
        self._diary = diary
        self._intake = intake
        self._power = power
        self._service = service
        self._helm = helm
        self._activation = activation
        self._gone: set[str] = set()
        self._offered = asyncio.Event()

    def offer(self, site: Site) -> None:
        """Tell of this from now on; templates that are gone are taken back at the broker."""
        self._gone = (self._gone | self._site.templates.keys()) - site.templates.keys()
        self._site = site
        self._offered.set()

    async def run(self) -> None:
        """Announce each connection, then tell what changes."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._announce(), name="announce")
            tasks.create_task(self._tell(), name="tell")

    async def _announce(self) -> None:
        """Publish everything retained once per connection, and with other templates.

        A broker may have lost it.
        """
        announced = None
        while True:
            number = await self._session.connected()
            if number == announced and not self._offered.is_set():
                await first_of(self._session.changed(), self._offered.wait())
                continue
            try:
                self._offered.clear()
                await self._publish_retained()
                announced = number
            except BrokerGone:
                # The session has yet to notice what we noticed: let it run.
                await asyncio.sleep(AGAIN_S)

    async def _publish_retained(self) -> None:
        topics = self._site.topics
        for template in self._site.templates.values():
            message = Outbound(topics.template(template.name), template.described(), retain=True)
            await self._session.publish(message)
        for name in self._gone:
            await self._session.publish(Outbound(topics.template(name), b"", retain=True))
        await self._session.publish(availability(topics, "online"))
        await self._session.publish(self._state_message(self.state()))

    async def _tell(self) -> None:
        told = ""
        while True:
            self._engine.changed.clear()
            self._spool.changed.clear()
            state = self.state()
            self._service.status(_line(state, self._session.state.problem))
            comparable = json.dumps(state, sort_keys=True)
            if comparable == told:
                await self._something_changed()
                continue
            told = comparable
            pause_s = STATE_EVERY_S
            try:
                await self._session.publish(self._state_message(state))
            except BrokerGone:
                pause_s = LINE_EVERY_S  # only systemd hears of it, which costs nothing
            await asyncio.sleep(pause_s)

    async def _something_changed(self) -> None:
        try:
            await first_of(
                self._engine.changed.wait(),
                self._spool.changed.wait(),
                self._dispatch.news.wait(),
                self._session.changed(),
                self._power.changed.wait(),
            )
        finally:
            self._dispatch.news.clear()
            self._power.changed.clear()

    def state(self) -> dict[str, Any]:
        """Return the board's state as the contract's `state` topic carries it."""
        engine, allowed = self._engine.state, self._dispatch.grant
        ready = engine.ready
        rows = self._spool.rows
        return {
            "node": self._site.topics.node,
            "version": edged.__version__,
            "boot": self._spool.boot,
            "service": self._service_state(),
            "engine": {
                "phase": engine.phase,
                "problem": engine.problem or None,
                "npu": _npu(engine),
            },
            "broker": {"doubt": self._session.doubt or None},
            "model": None if ready is None else self._activation.said_of_model(ready),
            "templates": {name: item.digest for name, item in self._site.templates.items()},
            "templates_trust": self._activation.said_of_templates(),
            "store": self._activation.said(),
            "limits": {
                "packet_bytes": self._config.broker.packet_bytes_max,
                "prompt_bytes": self._config.requests.prompt_bytes_max,
                "ttl_s": self._config.requests.ttl_s_max,
                "context_tokens": allowed.context_tokens,
                "sequences": allowed.sequences,
                "throttled": allowed.throttled or False,
                "queue": self._config.spool.rows_max,
                "spool_bytes": prompt_bytes(self._config.spool.bytes_max),
                **self._config.quota.model_dump(),
                "clients": {
                    name: self._config.quota_of(name).model_dump() for name in self._config.clients
                },
            },
            "queue": {
                "queued": len(rows) - len(rows.running),
                "running": len(rows.running),
                "estimate_error_share": _share(self._dispatch.line.error_share),
            },
            "spool": {
                "problem": self._spool.problem or None,
                "set_aside": list(self._spool.set_aside),
            },
            "outcomes": dict(sorted(self._diary.outcomes.items())),
            "power": self._power_state(),
            "temperature_c": hottest_c((self._config.power.sysfs or SYS) / "class/thermal"),
            "unanswerable": self._intake.unanswerable,
        }

    def figures(self) -> Figures:
        """Return what the metrics show of the board, with joules up to now."""
        self._power.count()
        joules = self._power.account.joules
        return Figures(self.state(), joules, self._session.state.connected)

    def _service_state(self) -> dict[str, Any]:
        said = self._helm.said_of_mode()
        return {"mode": self._helm.mode, "set_by": said.set_by, "until": said.until}

    def _power_state(self) -> dict[str, Any]:
        watts, joules, hands = self._power.watts(), self._power.account.joules, self._power.hands
        limits, budget, said = watts.limits, self._helm.budget, self._helm.said_of_budget()
        return {
            "budget_w": budget.budget_w,
            "set_by": said.set_by,
            "until": said.until,
            "schedule": budget.schedule,
            "window_s": self._config.power.window_s,
            "limit_w": round(limits.mean_w, 2),
            "peak_w": round(limits.peak_w, 2),
            "peak_window_s": limits.peak_window_s,
            "state": watts.standing.state,
            "why": watts.standing.why,
            "mean_w": round(watts.mean_w, 1),
            "source": watts.origin,
            "error_share": round(watts.error_share, 3),
            "meter": hands.told.meter,
            "meter_passed_over": list(hands.told.passed_over),
            "meter_fault": hands.fault or None,
            "calibration": hands.told.calibration,
            "calibration_warning": hands.told.calibration_warning,
            "clocks": hands.clocks,
            "supply_w": hands.told.supply_w,
            "above_idle_j": round(joules.outcomes_j + joules.overhead_j, 1),
            "counter_j": round(joules.counter_j, 1),
            "outcomes_j": round(joules.outcomes_j, 1),
            "overhead_j": round(joules.overhead_j, 1),
            "idle_j": round(joules.idle_j, 1),
            "unmetered_j": round(joules.unmetered_j, 1),
        }

    def _state_message(self, state: Mapping[str, Any]) -> Outbound:
        payload = json.dumps(state, ensure_ascii=False, separators=(",", ":")).encode()
        return Outbound(
            self._site.topics.state, payload, retain=True, content_type="application/json"
        )


def _npu(engine: EngineState) -> dict[str, Any] | None:
    """Return the device that computes part of the model, and the proof that it does."""
    if engine.ready is None or engine.ready.npu is None:
        return None
    npu = engine.ready.npu
    return {
        "device": npu.device,
        "weights_share": round(npu.weights_share, 3),
        "matmuls": engine.npu_matmuls,
    }


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _line(state: Mapping[str, Any], broker_problem: str) -> str:
    """Return the one line that `systemctl status` shows."""
    model = state["model"]["name"] if state["model"] else "no model"
    engine, service = state["engine"], state["service"]
    queue, power = state["queue"], state["power"]
    parts = [
        f"{model} {engine['phase']}",
        f"{queue['queued']} queued, {queue['running']} running",
        f"{power['mean_w']} W {power['source']}, budget {power['state']}",
    ]
    if service["mode"] != Mode.SERVING:
        parts.insert(0, f"{service['mode']} by {service['set_by']}")
    problems = (engine["problem"], state["spool"]["problem"], broker_problem)
    parts += [problem for problem in problems if problem]
    return "; ".join(parts)
