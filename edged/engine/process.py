"""The engine process: `edged engine`.

In:  the configuration, a daemon on the UNIX socket.     Out: an exit code.
Threads: main waits for signals; the intake thread reads the socket; the preparing thread makes
tokens and compiles schemas; the step thread loads the model and runs it. The process outlives its
daemon: the next one takes it over.
"""

from __future__ import annotations

import logging
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from edged.config import Config
from edged.engine.frames import Broken, Loading, Ready
from edged.engine.heap import share_one
from edged.engine.inbox import Inbox
from edged.engine.intake import Intake
from edged.engine.link import Link
from edged.engine.load import load
from edged.engine.opened import Progress
from edged.engine.preparation import Preparation, Preparing
from edged.errors import EXIT_ENGINE_UNUSABLE, ConfigError, EngineStuck, EngineUnusable
from edged.lock import only_holder
from edged.notify import Notifier, notifier
from edged.unix_socket import listening

log = logging.getLogger(__name__)

# Source: rk-llama.cpp, ggml/src/ggml-rknpu2/README.md, and rknn-llm issue 62: below that the load
# ends in the middle, by SIGSEGV.
OPEN_FILES = 65_536

# How long an engine that cannot serve waits for a daemon to tell why.
BROKEN_WAIT_S = 2.0
# Source: sd_notify(3), EXTEND_TIMEOUT_USEC; asked for again well before it has passed.
EXTEND_S, EXTEND_EVERY_S = 60, 10.0


def run(
    config: Config,
    *,
    spawned: bool = False,
    fall_back: Callable[[str], None] | None = None,
) -> int | None:
    """Serve until SIGTERM; return the exit code.

    Args:
        config: the daemon's configuration too.
        spawned: a daemon started this process, so the daemon that ends cleanly ends it.
        fall_back: told why the model cannot be loaded, where another one can be instead.

    Returns:
        None: the process is to begin anew, after SIGUSR1 or to fall back.

    Raises:
        ConfigError: state directory or socket cannot be used.
    """
    share_one()
    if config.uses_npu:
        _allow_open_files()
    try:
        with only_holder(config.state_dir / "engine.lock", _second), _npu(config):
            return _serve(config, Link(spawned=spawned), fall_back)
    except (EngineUnusable, EngineStuck) as error:
        print(f"edged engine: {error}", file=sys.stderr)
        return EXIT_ENGINE_UNUSABLE


def _second(holder: str) -> EngineUnusable:
    """Return the refusal of a second engine: two would share the memory, or the NPU."""
    return EngineUnusable(
        f"another engine (process {holder}) holds engine.lock in the state directory; one engine "
        "serves it: end that one first"
    )


def _npu(config: Config) -> AbstractContextManager[None]:
    """Hold the NPU of this board, where the backend uses it."""
    if not config.uses_npu:
        return nullcontext()
    return only_holder(config.npu_lock, _busy, "rkllm.lock")


def _allow_open_files() -> None:
    """Raise the limit of open files as far as this process may: each buffer of the NPU is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < OPEN_FILES:
        log.warning("only %d files may be open; the NPU's buffers can need %d", wanted, OPEN_FILES)


def _busy(holder: str) -> EngineUnusable:
    """Return the refusal of a second NPU client: two can stop the kernel."""
    return EngineUnusable(
        f"process {holder} holds the lock of the NPU, which one process can use at a time; end "
        "that one first"
    )


def _serve(config: Config, link: Link, fall_back: Callable[[str], None] | None) -> int | None:
    path = config.engine_socket
    inbox, anew = Inbox(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: inbox.close())

    def begin_anew(*_: object) -> None:
        anew.set()
        inbox.close()

    # Not SIGHUP, which comes too when a terminal is closed.
    signal.signal(signal.SIGUSR1, begin_anew)
    # The lock is held: whatever lies at `path` belongs to an engine that is no more.
    socket = listening(path, 0o600, "engine.socket")
    with socket as listener, ThreadPoolExecutor(3, "engine") as threads:
        preparation = Preparation(inbox)
        intake = Intake(listener, link, inbox, preparation)
        others = [threads.submit(intake.run), threads.submit(preparation.run)]
        stepping = threads.submit(_load_and_step, config, link, inbox, preparation, fall_back)
        for other in others:
            other.add_done_callback(lambda _: inbox.close())
        try:
            is_next = stepping.result()
        finally:
            intake.close()
            preparation.close()
            path.unlink(missing_ok=True)
        for other in others:
            other.result()
    return None if is_next or anew.is_set() else 0


def _load_and_step(
    config: Config,
    link: Link,
    inbox: Inbox,
    preparation: Preparation,
    fall_back: Callable[[str], None] | None,
) -> bool:
    """Serve to the end; return whether another model is to be loaded instead."""
    systemd = notifier()
    try:
        resident = _open(config, _LoadProgress(link, inbox, systemd).__call__)
        preparation.prepare_with(resident.preparer)
        link.tell(resident.ready)
        systemd.notify(f"READY=1\nSTATUS={resident.ready.name} is resident")
        resident.run(inbox)
        resident.close()
    except (EngineUnusable, ConfigError) as error:
        if inbox.is_closed:
            return False  # told to end while loading
        if fall_back is not None:
            log.error("the model on trial cannot be loaded: %s", error)
            fall_back(str(error))
            return True
        link.tell(Broken(str(error)))
        systemd.notify(f"STATUS=unusable: {error}")
        link.wait_until_heard(BROKEN_WAIT_S)
        raise
    return False


class _Serving(Protocol):
    """A model that answers, whatever computes it."""

    @property
    def preparer(self) -> Preparing: ...

    @property
    def ready(self) -> Ready: ...

    def run(self, inbox: Inbox) -> None: ...

    def close(self) -> None: ...


def _open(config: Config, progress: Progress) -> _Serving:
    if config.engine.backend == "rkllm":
        from edged.engine.rkllm.open import open_rkllm

        return open_rkllm(config, progress)
    if config.engine.backend == "rknn":
        from edged.engine.rknn.open import open_rknn

        return open_rknn(config, progress)
    return load(config, progress)


class _LoadProgress:
    """Tells daemon and systemd how far the load is; gives up when the engine is to end."""

    def __init__(self, link: Link, inbox: Inbox, systemd: Notifier) -> None:
        self._link = link
        self._inbox = inbox
        self._systemd = systemd
        self._told = 0
        self._extend_s = 0.0

    def __call__(self, share: float) -> bool:
        """Take the share loaded, 0..1; return whether to go on."""
        if time.monotonic() >= self._extend_s:
            self._extend_s = time.monotonic() + EXTEND_EVERY_S
            self._systemd.notify(f"EXTEND_TIMEOUT_USEC={EXTEND_S * 1_000_000}")
        percent = int(share * 100)
        if percent > self._told:
            self._told = percent
            self._systemd.notify(f"STATUS=loading the model: {percent} %")
            self._link.tell(Loading(share))
        return not self._inbox.is_closed
