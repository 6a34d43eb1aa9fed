"""What an engine has to load when it starts: what is active, or what is being tried.

In:  the configuration.     Out: the same with the slot in it, and what to do where it cannot be
loaded.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from edged.config import Config
from edged.errors import ConfigError
from edged.store.chosen import in_force, with_choice
from edged.store.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """A start of the engine.

    Attributes:
        config: with the model to load.
        fall_back: told why that model cannot be loaded, where another one can be instead; the
            process is then to begin anew. None: there is no other.
    """

    config: Config
    fall_back: Callable[[str], None] | None = None


def start_of(config: Config, *, tries: bool) -> Start:
    """Return what to load.

    Args:
        config: the configuration.
        tries: whether this is the engine of the board, which tries what is to be tried.

    Raises:
        ConfigError: the store is not as it was left.
    """
    store = Store(config.state_dir)
    if not tries or store.file.read().trial is None:
        return Start(in_force(config))
    choice, trial = store.starting()
    if trial is None:
        return Start(in_force(config))
    log.info("trying %s, start %d", trial.title, trial.starts)
    try:
        return Start(with_choice(config, store, store.file.read(), choice), store.failed)
    except ConfigError as error:
        store.failed(str(error))
        return Start(in_force(config))


def begin_anew() -> NoReturn:
    """Put a new start of this command in the place of this process: same id, all memory given back.

    systemd and the daemon see one process; its sockets and locks close with the old one.
    """
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
