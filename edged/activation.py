"""Makes a bundle of the store active once it has shown that it serves; else what was active stays.

In:  orders of the admin socket and of the broker; a trial that an earlier start left.     Out: the
model in the engine, the templates in force, what became of it.
A model is tried in the place of the resident one, since a board has no memory for two; prompts wait
meanwhile. Templates are tried on the resident model, beside the prompts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edged.config import Config
from edged.dispatch import Dispatch
from edged.engine.client import EngineClient
from edged.engine.frames import Ready
from edged.errors import AdminRefused, ConfigError, EngineLost, EngineUnusable, StoreRefused
from edged.examination import Examination, example_of, held_out, problem_of
from edged.models.installed import find_model, shipped_digests, templates_dir
from edged.site import Site, site_of
from edged.spool.queue import Spool
from edged.store.about import ABOUT, Evaluation, Kind, read_about
from edged.store.chosen import takes, with_choice
from edged.store.register import STARTS_MAX, Result, Slot, Trial
from edged.store.said import model_said, store_said, templates_trust
from edged.store.signature import Trust
from edged.store.store import Store, Whom

log = logging.getLogger(__name__)

# So often the engine and the running prompts are looked at, during a trial alone.
LOOK_S = 0.1
# What runs when a model is ordered may end first; a long answer on a small budget takes minutes.
IDLE_S_MAX = 300.0
# A register that cannot be written now may be later.
AGAIN_S = 30.0
# A large file takes minutes from a slow card; its load tells how far it is, this bounds all of it.
LOAD_S_MAX = 1800.0


@dataclass(frozen=True, slots=True)
class _Tried:
    """What a trial is about.

    Attributes:
        config: with what is tried in it.
        site: what devices would see.
        left: digest of the model file that the engine is not to keep if it does not serve; None:
            it is the active one too.
    """

    config: Config
    site: Site
    left: str | None


class Activation:
    """Leads trials to their end.

    Args:
        config: without the store's choice in it.
        engine: loads what the store says when it is renewed.
        dispatch: holds prompts back meanwhile.
        spool: says what runs.

    Attributes:
        switch: puts other templates in force.
        ended: told each trial with its result.
    """

    def __init__(
        self, config: Config, engine: EngineClient, dispatch: Dispatch, spool: Spool
    ) -> None:
        self._config = config
        self._engine = engine
        self._dispatch = dispatch
        self._spool = spool
        self._store = Store(config.state_dir)
        self._register = self._store.file.read()
        self._shipped = shipped_digests()
        self._examination = Examination(engine, dispatch, config.engine.lease_s)
        self._woken = asyncio.Event()
        self.switch: Callable[[Site], None] = lambda site: None
        self.ended: Callable[[Trial, Result], None] = lambda trial, result: None

    async def run(self) -> None:
        """Lead one trial after another, until cancelled."""
        while True:
            self._woken.clear()
            if self._register.trial is None:
                await self._woken.wait()
                continue
            try:
                await self._lead(self._register.trial)
            except StoreRefused as error:  # the disk will not, or somebody moved the register away
                log.error("%s; the trial is tried again in %.0f s", error, AGAIN_S)
                await asyncio.sleep(AGAIN_S)
                self._register = self._store.file.read()

    async def activate(
        self, kind: Kind, slot: Slot | None, by: str, order: str | None = None
    ) -> str:
        """Begin to try what stands in a slot; return its name and version.

        Raises:
            AdminRefused: it cannot be tried, and why.
        """
        return await self._order(
            kind, lambda: self._store.propose(kind, slot, whom(self._config), by, order)
        )

    async def activate_titled(
        self, kind: Kind, name: str, version: int, by: str, order: str | None = None
    ) -> str:
        """Begin to try the bundle of this name and version; return both.

        Raises:
            AdminRefused: no slot holds it, or it cannot be tried.
        """
        register = await asyncio.to_thread(self._store.file.read)
        there = register.slots.get(kind, {})
        found = [slot for slot, it in there.items() if (it.name, it.version) == (name, version)]
        if not found:
            known = ", ".join(item.title for item in there.values()) or "none"
            raise AdminRefused(
                "unusable", f"{name} version {version} is in no slot; there are: {known}"
            )
        return await self.activate(kind, found[0], by, order)

    async def roll_back(self, kind: Kind, by: str, order: str | None = None) -> str:
        """Begin to go back to what was active before; return its name and version.

        Raises:
            AdminRefused: there is nothing to go back to, or it is not whole any more.
        """
        return await self._order(
            kind, lambda: self._store.propose_rollback(kind, whom(self._config), by, order)
        )

    async def _order(self, kind: Kind, propose: Callable[[], Trial]) -> str:
        if not takes(self._config, kind):
            key = "model.templates_dir" if kind == "templates" else "model.path or model.folder"
            raise AdminRefused(
                "unusable", f"{key} is configured, and goes before the store; unset it"
            )
        try:
            trial = await asyncio.to_thread(propose)
            self._register = self._store.file.read()
        except (StoreRefused, ConfigError) as error:
            raise AdminRefused("unusable", str(error)) from error
        log.info("%s %s is to be tried, by %s", trial.kind, trial.title, trial.by)
        self._changed()
        return trial.title

    async def _lead(self, trial: Trial) -> None:
        """Try, and put in force what serves; prompts go on when one of both models is there."""
        self._dispatch.is_held = trial.kind == "model"
        try:
            tried = await asyncio.to_thread(self._read, trial)
            problem = await self._problem(trial, tried)
            if problem is None:
                self._register = await asyncio.to_thread(self._store.commit)
                self.switch(tried.site)
                log.info("%s %s is active", trial.kind, trial.title)
            else:
                await self._fall_back(trial, problem)
                await self._leave(tried.left)
        except ConfigError as error:
            await self._fall_back(trial, str(error))
        finally:
            self._dispatch.is_held = False
            self._changed()
        assert self._register.last is not None, "a trial ended"
        self.ended(trial, self._register.last)

    async def _fall_back(self, trial: Trial, problem: str) -> None:
        log.error("%s %s is not made active: %s", trial.kind, trial.title, problem)
        self._register = await asyncio.to_thread(self._store.fall_back, problem)

    async def _leave(self, digest: str | None) -> None:
        """Have the engine go back from the model with this digest to the active one."""
        while digest is not None and await self._until(self._is_ready):
            ready, life = self._engine.state.ready, self._engine.life
            if ready is None or ready.digest != digest:
                return
            self._engine.renew()
            await self._another_life(life)

    async def _another_life(self, than: int) -> bool:
        """Wait until the engine that was there has gone; return whether it has."""
        return await self._until(lambda: self._engine.life != than, IDLE_S_MAX)

    def _read(self, trial: Trial) -> _Tried:
        register = self._register
        chosen = with_choice(self._config, self._store, register, trial.choice)
        before = with_choice(self._config, self._store, register, register.active)
        left = _digest(chosen)
        return _Tried(chosen, site_of(chosen), None if left == _digest(before) else left)

    async def _problem(self, trial: Trial, tried: _Tried) -> str | None:
        """Return why what is tried does not serve; None when it does."""
        problem = await (self._loaded() if trial.kind == "model" else self._fits(trial))
        return await self._examined(trial, tried) if problem is None else problem

    async def _loaded(self) -> str | None:
        """Have the engine load the model that is tried; return why it did not.

        An engine that starts by itself meanwhile loads it too.
        """
        for _ in range(STARTS_MAX + 1):
            if not await self._until(self._is_ready):
                return f"not loaded after {LOAD_S_MAX:.0f} s: {self._engine.state.problem}"
            now = (await asyncio.to_thread(self._store.file.read)).trial
            if now is None or now.problem is not None:
                return "the register was changed" if now is None else now.problem
            if now.starts > 0:
                return None
            if not await self._until(lambda: not self._spool.rows.running, IDLE_S_MAX):
                return f"prompts still ran after {IDLE_S_MAX:.0f} s; try again"
            life = self._engine.life
            self._engine.renew()
            await self._another_life(life)
        return "the engine does not load it; see its log"

    def _is_ready(self) -> bool:
        return self._engine.state.phase == "ready"

    async def _fits(self, trial: Trial) -> str | None:
        """Return why templates are none for the resident model."""
        if not await self._until(self._is_ready, LOAD_S_MAX):
            return f"no model is resident: {self._engine.state.problem}"
        ready = self._engine.state.ready
        assert ready is not None, "a ready engine said so"
        record = self._register.record("templates", trial.choice)
        if record is None or trial.choice.templates is None:
            return None
        folder = self._store.folder("templates", trial.choice.templates)
        about = read_about("templates", (folder / ABOUT["templates"]).read_bytes())
        if about.model not in (None, ready.digest):
            return f"made for the model {about.model}, and resident is {ready.digest}"
        return None

    async def _examined(self, trial: Trial, tried: _Tried) -> str | None:
        """Return why the answers are not good enough."""
        ready = self._engine.state.ready
        assert ready is not None, "the engine is ready"
        evaluation = self._evaluation(trial)
        try:
            installed = dict(tried.site.templates)
            cases = [example_of(template) for template in installed.values()]
            folder = templates_dir(tried.config.model)
            if folder is not None and evaluation is not None:
                cases += held_out(folder.parent, installed, evaluation.rows)
            together = ready.sequences if trial.kind == "model" else 1
            marks = await self._examination.marks(cases, together)
        except (ConfigError, EngineLost) as error:
            return str(error)
        return problem_of(marks, 0.0 if evaluation is None else evaluation.exact_match_min)

    def _evaluation(self, trial: Trial) -> Evaluation | None:
        """Return what the bundle on trial asks of itself; None: it is none, it was released."""
        slot = trial.choice.model if trial.kind == "model" else trial.choice.templates
        if slot is None:
            return None
        path = self._store.folder(trial.kind, slot) / ABOUT[trial.kind]
        return read_about(trial.kind, path.read_bytes()).evaluation

    async def _until(self, is_true: Callable[[], bool], wait_s: float = LOAD_S_MAX) -> bool:
        """Wait for something; return whether it came in time."""
        deadline_s = asyncio.get_running_loop().time() + wait_s
        while not is_true():
            if asyncio.get_running_loop().time() > deadline_s:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    def _changed(self) -> None:
        self._woken.set()
        self._dispatch.wake()

    def said(self) -> dict[str, Any]:
        """Return what `state` says of the store."""
        return store_said(self._register)

    def said_of_model(self, ready: Ready) -> dict[str, Any]:
        """Return what `state` says of the resident model."""
        return model_said(ready, self._register, self._shipped)

    def said_of_templates(self) -> str:
        """Return who answers for the templates in force."""
        return templates_trust(self._config, self._register)


def _digest(config: Config) -> str | None:
    """Return the digest of the configured model file; None where nobody wrote it down."""
    try:
        return find_model(config.model).digest
    except EngineUnusable:
        return None


def whom(config: Config) -> Whom:
    """Return whose bundles come onto this board."""
    store = config.store
    return Whom(Trust(store.keys, store.authorities), store.allow_unsigned)
