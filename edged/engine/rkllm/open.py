"""Opens the configured model in the runtime, asks its canary, and makes what serves it.

In:  the configuration.     Out: `Serving`.
Threads: the step thread's. The order matters: what can be found out without the library comes
first, then what a child process finds out, then the one init that this process has.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edged.config import Config
from edged.engine.formats import RoleFormat
from edged.engine.frames import Limits, Prompt, Ready, Work
from edged.engine.inbox import Inbox
from edged.engine.opened import Progress
from edged.engine.preparation import Preparing
from edged.engine.rkllm import evidence, npu_node
from edged.engine.rkllm.library import Library
from edged.engine.rkllm.model_check import check_rkllm
from edged.engine.rkllm.prompt_cache import PromptCaches
from edged.engine.rkllm.request import Preparer
from edged.engine.rkllm.session import (
    InitFailed,
    NotBack,
    Session,
    Setup,
    leave_without_destructors,
)
from edged.engine.rkllm.worker import Patience, Worker
from edged.engine.schema import Lengths
from edged.engine.threads import THREADS_MAX, fast_cores
from edged.errors import EXIT_ENGINE_UNUSABLE, EngineStuck, EngineUnusable
from edged.models.installed import Installed, file_digest

log = logging.getLogger(__name__)

CANARY = Prompt(payload="1 2 3 4")
CANARY_TOKENS = 8
# What the runtime printed while it loaded; it stays after a crash.
LOG = "rkllm-load.log"


@dataclass(frozen=True, slots=True)
class Serving:
    """A model in the runtime that answers."""

    preparer: Preparing
    worker: Worker
    ready: Ready
    patience: Patience

    def run(self, inbox: Inbox) -> None:
        """Serve until the inbox closes.

        Raises:
            EngineStuck: the runtime does not come back; this process must be replaced.
            EngineUnusable: it answers its test prompt wrongly.
        """
        with _ending(self.worker, self.patience):
            self.worker.run(inbox)

    def close(self) -> None:
        """Give the memory back."""
        _close(self.worker, self.patience, 0)


@contextmanager
def _ending(worker: Worker, patience: Patience) -> Iterator[None]:
    """Leave the library in order if the engine cannot go on; at once if it does not come back."""
    try:
        yield
    except EngineStuck:
        leave_without_destructors(EXIT_ENGINE_UNUSABLE)
        raise
    except EngineUnusable:
        _close(worker, patience, EXIT_ENGINE_UNUSABLE)
        raise


def _close(worker: Worker, patience: Patience, exit_code: int) -> None:
    try:
        worker.close(patience.abort_s)
    except NotBack:
        log.warning("the runtime does not give its memory back; the kernel will")
        leave_without_destructors(exit_code)


def open_rkllm(config: Config, progress: Progress) -> Serving:
    """Load the model and ask its canary.

    Raises:
        EngineUnusable: library, driver, board, model or configuration do not go together.
        EngineStuck: the runtime does not come back from the canary.
        ConfigError: its format file is wrong.
    """
    started_s = time.monotonic()
    model, form = check_rkllm(config)
    library = _library(config)
    progress(0.0)
    digest = file_digest(model.path, config.state_dir)
    session = Session(library)
    runtime = _load(config, model, session, progress)
    canary = partial(_check_canary, preparer=_preparer(config, form))
    limits = Limits(config.model.context_tokens, 1, config.engine.lease_s)
    patience = Patience(
        config.rkllm.prefill_s_max, config.rkllm.token_s_max, config.rkllm.abort_s_max
    )
    caches = _caches(config, session, f"{digest} {runtime}")
    worker = Worker(session, limits, patience, caches, canary=canary)
    with _ending(worker, patience):
        canary(worker)
    took_s = time.monotonic() - started_s
    ready = Ready(model.name, digest, "rkllm", limits.context_tokens, limits.sequences, took_s)
    return Serving(_preparer(config, form), worker, ready, patience)


def _library(config: Config) -> Library:
    """Return the library, once it has proved to be one that the structs are right for."""
    problem = npu_node.denied()
    if problem is not None:
        raise EngineUnusable(problem)
    library = Library(config.rkllm.library)
    evidence.check_library(evidence.read(evidence.probe(library.name)), library.name)
    return library


def _load(config: Config, model: Installed, session: Session, progress: Progress) -> str:
    """Load the model; return the runtime's version."""
    setup = Setup(
        model=model.path,
        context_tokens=config.model.context_tokens,
        cores=tuple(fast_cores()[: config.model.threads or THREADS_MAX]),
        iommu_domain=config.rkllm.iommu_domain,
    )
    is_wanted = True

    def tick() -> bool:
        nonlocal is_wanted
        is_wanted = progress(0.0)  # the runtime does not tell how far it is
        return is_wanted

    log_file = config.state_dir / LOG
    try:
        said = evidence.read(session.open(setup, log_file, config.rkllm.load_s_max, tick))
    except InitFailed as error:
        raise _refused(model, config, error) from error
    except NotBack as error:
        leave_without_destructors(EXIT_ENGINE_UNUSABLE if is_wanted else 0)
        raise EngineUnusable(
            f"{model.path}: the runtime did not load it within rkllm.load_s_max = "
            f"{config.rkllm.load_s_max:g} s; raise that, or see {log_file}"
        ) from error
    evidence.check_model(said, str(model.path), config.model.context_tokens)
    if evidence.is_of_another_toolkit(said):
        log.warning(
            "%s: converted by toolkit %s, run by %s: answers may not end before their cap",
            model.path,
            said.toolkit,
            said.runtime,
        )
    return said.runtime or ""


def _refused(model: Installed, config: Config, error: InitFailed) -> EngineUnusable:
    """Return why the model was not opened, as far as the runtime's lines and the board tell."""
    try:
        evidence.check_model(
            evidence.read(error.printed), str(model.path), config.model.context_tokens
        )
    except EngineUnusable as known:
        return known
    lines = [line.strip() for line in error.printed.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("E ") or "fail" in line.lower()] or lines
    said = f": {'; '.join(told[-2:])}" if told else ""
    advice = npu_node.missing() or (
        "is the file whole, the memory free, and nothing else using the NPU?"
    )
    return EngineUnusable(f"{model.path}: the runtime refused it, {error}{said}; {advice}")


def _caches(config: Config, session: Session, owner: str) -> PromptCaches | None:
    """Return the prompt caches, the one of the template used last loaded."""
    if not config.rkllm.prompt_caches:
        return None
    caches = PromptCaches(config.state_dir / "rkllm-caches", owner)
    path = caches.open()
    if path is not None:
        _load_cache(caches, path, session, config.rkllm.prefill_s_max)
    return caches


def _load_cache(caches: PromptCaches, path: Path, session: Session, limit_s: float) -> None:
    """Load a prompt cache; one that the process dies of is marked, and not tried again."""
    caches.mark(path)
    try:
        is_taken = session.load_cache(path, limit_s)
    except NotBack as error:
        leave_without_destructors(EXIT_ENGINE_UNUSABLE)
        raise EngineUnusable(
            f"{path}: the runtime does not come back from loading this prompt cache; the next "
            "start does without it"
        ) from error
    if not is_taken:
        log.warning("%s: the runtime does not take this prompt cache; removed", path)
        path.unlink()
    caches.unmark(path)


def _preparer(config: Config, form: RoleFormat) -> Preparer:
    engine = config.engine
    return Preparer(
        form=form,
        lengths=Lengths(engine.schema_bytes_max, engine.string_chars_max, engine.array_items_max),
        context_tokens=config.model.context_tokens,
        answer_tokens=engine.answer_tokens_default,
        token_bytes=config.rkllm.token_bytes,
    )


def _check_canary(worker: Worker, preparer: Preparer) -> None:
    work = Work("canary", CANARY, max_tokens=CANARY_TOKENS)
    request = preparer.sequence(work, time.monotonic())
    request.is_reported = False
    outcome = worker.answer(request)
    if outcome.finish == "failed":
        raise EngineUnusable(
            f"the runtime does not answer a test prompt: {outcome.detail}; is the model made for "
            "this board and this runtime?"
        )
