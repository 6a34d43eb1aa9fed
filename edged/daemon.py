"""The story of the daemon: open in order, run the tasks, close in reverse.

In:  the configuration.     Out: an exit code. This file alone knows all parts.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path

from edged.activation import Activation
from edged.admin.server import AdminServer, admin_listener
from edged.answers import Answers
from edged.board.use import use_of
from edged.clock import BoardClock, MachineClock
from edged.config import Config
from edged.diary import Diary
from edged.dispatch import Dispatch, moment
from edged.engine.client import EngineClient
from edged.engine.processes import Processes
from edged.errors import ConfigError, SpoolDamaged
from edged.exposition import Exposition
from edged.intake import Intake
from edged.live import Live
from edged.lock import only_holder
from edged.metrics import Metrics
from edged.mqtt import Session, Will
from edged.orders.budgets import check_schedule
from edged.orders.helm import Helm
from edged.orders.kept import FILE as ORDERS_FILE
from edged.orders.kept import OrdersFile
from edged.orders.remote import Remote
from edged.outbox import Outbox
from edged.power.account import Account, from_note
from edged.power.governor import Governor
from edged.power.kept import FILE, Kept
from edged.power.outfit import Outfit, Parts, estimate_here, outfit, parts_here
from edged.service import Service
from edged.site import Site, site_of
from edged.spool.queue import Spool
from edged.status import Status, availability
from edged.store.chosen import in_force
from edged.time_floor import FILE as TIME_FILE
from edged.time_floor import TimeFloor
from edged.topics import Topics

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a daemon stands on; a simulation lays another.

    Attributes:
        clock: monotonic seconds, those of the event loop.
        machine: reads the clocks that outlive the daemon.
        processes: starts and ends engines; None: as this machine does.
        parts: finds what holds the watts.
    """

    clock: Callable[[], float] = time.monotonic
    machine: Callable[[], MachineClock] = BoardClock
    processes: Processes | None = None
    parts: Callable[[Config, Callable[[], float]], Parts] = parts_here


def run(config: Config, config_path: Path | None) -> int:
    """Run the daemon until SIGTERM or SIGINT; return the exit code.

    Raises:
        ConfigError: budget, state directory, spool, templates or input rules cannot be used.
        SpoolDamaged: a part of the spool cannot be read; the next start saves the rest.
    """
    state_dir, ground = config.state_dir, Ground()
    with only_holder(state_dir / "edged.lock", lambda holder: _second(state_dir, holder)):
        try:
            asyncio.run(serve(config, config_path, ground, outfit_of(config, ground)))
        except ExceptionGroup as group:
            damaged, others = group.split(SpoolDamaged)
            if damaged is None or others is not None:
                raise
            raise _first(damaged) from group
    return 0


def _second(state_dir: Path, holder: str) -> ConfigError:
    return ConfigError(
        f"another edged (process {holder}) runs on {state_dir}; end it, or give this one another "
        "node.state_dir"
    )


def _first(group: ExceptionGroup[SpoolDamaged]) -> SpoolDamaged:
    """Return one of the errors that the daemon's tasks ended with: they all say the same."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


async def serve(config: Config, config_path: Path | None, ground: Ground, held: Outfit) -> None:
    """Open everything, run until SIGTERM or SIGINT, close everything.

    Args:
        config: the configuration.
        config_path: its file, for the engine; None: the defaults.
        ground: what the daemon stands on.
        held: what the budget is held with.

    Raises:
        ConfigError: state directory, spool, templates or input rules cannot be used.
        ExceptionGroup: what a part ended with.
    """
    with admin_listener(config) as listener:
        await _serve(config, config_path, ground, held, listener)


async def _serve(
    config: Config, config_path: Path | None, ground: Ground, held: Outfit, listener: socket.socket
) -> None:
    service = Service()
    site = site_of(in_force(config))
    answers = Answers(config.node.name, site.calibration)
    engine = EngineClient(config, config_path, ground.clock, ground.processes)
    spool = Spool(config.state_dir, config.spool, answers.superseded, machine=ground.machine)
    await _open(spool, service)
    power = await asyncio.to_thread(_governor, config, ground, held, engine, spool)  # it reads /sys
    floor = TimeFloor(config.state_dir / TIME_FILE, ground.machine())
    session = _session(config, site, floor)
    metrics = Metrics()
    diary = Diary(metrics)
    outbox = Outbox(session, spool, answers, diary, site.outcome_ttl_s)
    dispatch = Dispatch(config, spool, engine, session, outbox, answers, diary, power)
    helm = Helm(config, _orders(config), spool.clock, dispatch, power)
    trials = Activation(config, engine, dispatch, spool)
    remote = Remote(site.topics, helm, trials, session)
    live = Live(site.topics, session, spool, diary, ground.clock)
    # Without leave of the configuration no order is heard, though the broker may know of times.
    ears = [live.hear, *([remote.hear] if config.admin.mqtt else [])]
    intake = Intake(session, spool, engine, dispatch, site, answers, diary, ears)
    status = Status(
        config, site, session, spool, engine, dispatch, diary, intake, power, service, helm, trials
    )
    trials.switch = functools.partial(_switch, answers, intake, status)
    exposition = Exposition(config.metrics, metrics.registry, diary.changed, status.figures)
    admin = AdminServer(listener, config, helm, trials, status.state)
    parts = {
        "engine": engine.run(),
        "session": session.run(),
        "power": power.run(),
        "dispatch": dispatch.run(),
        "outbox": outbox.run(),
        "intake": intake.run(),
        "status": status.run(),
        "metrics": exposition.run(),
        "helm": helm.run(),
        "admin": admin.run(),
        "remote": remote.run(),
        "trials": trials.run(),
        "live": live.run(status.state),
        "spool": spool.keep_tending(),
        "watchdog": service.feed_watchdog(),
    }
    if config.broker.tls_ca_file is not None:
        parts["time"] = floor.keep()
    try:
        await _until_told_to_end(parts, session, site.topics)
    finally:
        service.stopping()
        await dispatch.keep_note()
        await spool.close()


async def _open(spool: Spool, service: Service) -> None:
    """Open the spool, which may take its time, and say that it is open."""
    async with service.starting():
        await spool.open()
    service.ready()


def _orders(config: Config) -> OrdersFile:
    """Return where orders outlive a restart."""
    return OrdersFile(config.state_dir / ORDERS_FILE)


def _session(config: Config, site: Site, floor: TimeFloor) -> Session:
    """Return the session at the broker, with all that the board listens to."""
    topics = site.topics
    commands = topics.command_filters if config.admin.mqtt else ()
    return Session(
        config.broker,
        client_id=f"edged-{config.node.site}-{config.node.name}",
        filters=(*topics.inbound_filters, *site.inputs.filters, topics.watch, *commands),
        will=Will(topics.availability, b"offline"),
        floor=floor,
    )


def _switch(answers: Answers, intake: Intake, status: Status, site: Site) -> None:
    """Have everybody serve with other templates from now on."""
    answers.calibration = site.calibration
    intake.offer(site)
    status.offer(site)


def outfit_of(config: Config, ground: Ground) -> Outfit:
    """Return what the budget is held with.

    Raises:
        ConfigError: the budget means nothing on this board.
    """
    parts = ground.parts(config, ground.clock)
    held = outfit(config, parts, Kept(config.state_dir / FILE), ground.clock)
    check_schedule(config, held.budget.idle_w, metered=parts.meter is not None)
    return held


def _governor(
    config: Config, ground: Ground, held: Outfit, engine: EngineClient, spool: Spool
) -> Governor:
    """Return who holds the budget and keeps the books that the spool kept."""
    estimate = estimate_here(
        config, lambda: use_of(engine.state.pid, engine.decode_s), held.parts.table, ground.clock
    )
    joules = from_note(spool.note, moment(spool.clock), held.floor_w(config.power))
    return Governor(held, estimate, engine, Account(joules), ground.clock)


async def _until_told_to_end(
    parts: Mapping[str, Coroutine[None, None, None]], session: Session, topics: Topics
) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part, name=name) for name, part in parts.items()]
        await told.wait()
        session.leave_with(availability(topics, "offline"))
        for task in tasks:
            task.cancel()
