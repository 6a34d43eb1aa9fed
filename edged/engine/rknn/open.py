"""Opens the configured classifier and makes what serves it.

In:  the configuration.     Out: `Serving`, as of `rkllm`.
Threads: the step thread's. The board's NPU lock is held. What can be found out without the NPU
comes first, then what a child process finds out on it, then this process opens it.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path

from edged.board.domains import soc_of
from edged.config import Config
from edged.engine.frames import Limits, Prompt, Ready, Work
from edged.engine.opened import Progress
from edged.engine.rkllm import npu_node
from edged.engine.rkllm.open import Serving
from edged.engine.rkllm.request import Request
from edged.engine.rkllm.worker import Patience, Worker
from edged.engine.rknn.classifier import Recipe, recipe_of
from edged.engine.rknn.evidence import check_platform, probe
from edged.engine.rknn.lite import Lite, LiteFailed
from edged.engine.rknn.request import Preparer
from edged.engine.rknn.session import Choice, Session
from edged.engine.schema import Lengths
from edged.errors import EngineUnusable
from edged.models.installed import file_digest

log = logging.getLogger(__name__)

CANARY = "1 2 3 4"
SYS = Path("/sys")


def open_rknn(config: Config, progress: Progress) -> Serving:
    """Load the classifier and ask its canary.

    Raises:
        EngineUnusable: module, board, model or configuration do not go together.
        EngineStuck: the module does not come back from the canary.
    """
    started_s = time.monotonic()
    recipe = recipe_of(config)
    progress(0.0)
    denied = npu_node.denied()
    if denied is not None:
        raise EngineUnusable(denied)
    soc = soc_of(SYS)
    check_platform(probe(recipe, opens=False), recipe, None if soc is None else soc.name)
    evidence = probe(recipe, opens=True)
    log.info("rknn-toolkit-lite2 %s, librknnrt %s", evidence.module, evidence.runtime)
    progress(0.5)
    worker = _worker(config, recipe)
    _check_canary(worker, recipe)
    digest = file_digest(recipe.model, config.state_dir)
    took_s = time.monotonic() - started_s
    ready = Ready(recipe.model.stem, digest, "rknn", recipe.input_tokens, 1, took_s)
    return Serving(_preparer(config, recipe), worker, ready, _patience(config))


def _worker(config: Config, recipe: Recipe) -> Worker:
    try:
        lite = Lite()
        lite.open(recipe.model, recipe.cores)
    except LiteFailed as failed:
        raise EngineUnusable(str(failed)) from failed
    limits = Limits(recipe.input_tokens + 1, 1, config.engine.lease_s)
    session = Session(lite, recipe)
    canary = partial(_check_canary, recipe=recipe)
    return Worker(session, limits, _patience(config), None, canary=canary)


def _patience(config: Config) -> Patience:
    most_s = config.rknn.answer_s_max
    return Patience(most_s, most_s, most_s)


def _preparer(config: Config, recipe: Recipe) -> Preparer:
    engine = config.engine
    lengths = Lengths(engine.schema_bytes_max, engine.string_chars_max, engine.array_items_max)
    return Preparer(recipe, lengths)


def _check_canary(worker: Worker, recipe: Recipe) -> None:
    order = Choice(CANARY, 1, allowed=recipe.labels)
    work = Work("canary", Prompt(payload=CANARY), max_tokens=1)
    request = Request(work, order, 1, time.monotonic(), is_reported=False)
    outcome = worker.answer(request)
    if outcome.finish == "failed":
        raise EngineUnusable(
            f"the classifier does not answer a test text: {outcome.detail}; is the model made for "
            "this board and this runtime?"
        )
