"""Brings the configured model into memory and finds out how fast it is.

In:  the configuration.     Out: `Resident`: the backend, its preparer, its worker.
Threads: the step thread's; it takes seconds to minutes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edged.config import Config
from edged.engine import sim
from edged.engine.backend import Backend, Run
from edged.engine.canary import ANY_TEXT, Canary, check_canary
from edged.engine.constraints import Constraints
from edged.engine.formats import ChatTemplate, Format, RoleFormat, role_format
from edged.engine.frames import Limits, Prompt, Ready
from edged.engine.gguf_file import read_header
from edged.engine.llama import Llama, Shape
from edged.engine.memory import check_fits
from edged.engine.plan import Bounds, Pace
from edged.engine.prepare import Preparer
from edged.engine.residents import ROOTS_MAX
from edged.engine.schema import Lengths
from edged.engine.threads import compute_threads
from edged.engine.worker import Worker
from edged.models.installed import Installed, file_digest, find_model

Progress = Callable[[float], bool]
PACE_TOKENS = 32
_SIM_FORMAT = RoleFormat(
    {role: f"<|{word}|>{{content}}" for role, word in
     (("system", "system"), ("user", "input"), ("assistant", "answer"))},
    answer="<|answer|>",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opened:
    """A backend with what belongs to its model."""

    backend: Backend
    name: str
    digest: str
    form: Format
    canary: Canary
    context_tokens: int


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that answers."""

    backend: Backend
    preparer: Preparer
    worker: Worker
    ready: Ready


def load(config: Config, progress: Progress) -> Resident:
    """Load the model, measure its pace, ask its canary.

    Raises:
        EngineUnusable: the model cannot be served; says why and what to do.
        ConfigError: its format file is wrong.
    """
    started_s = time.monotonic()
    opened = _open_sim(config) if config.engine.backend == "sim" else _open_llama(config, progress)
    backend = opened.backend
    bounds = Bounds(backend.n_batch, config.engine.chunk_tokens, config.engine.step_s_max)
    limits = Limits(opened.context_tokens, config.model.sequences, config.engine.lease_s)
    preparer, own = _preparer(config, opened), _preparer(config, opened)  # one per thread
    worker = Worker(
        backend,
        bounds,
        limits,
        measured_pace(backend),
        canary=lambda worker: check_canary(worker, own, opened.canary),
    )
    check_canary(worker, own, opened.canary)
    ready = Ready(
        name=opened.name,
        digest=opened.digest,
        backend=backend.name,
        context_tokens=opened.context_tokens,
        sequences=config.model.sequences,
        load_s=time.monotonic() - started_s,
    )
    return Resident(backend, preparer, worker, ready)


def _open_llama(config: Config, progress: Progress) -> Opened:
    from edged.engine.llama import Llama

    model = find_model(config.model)
    n_cells, n_batch = _n_cells(config), _n_batch(config)
    check_fits(read_header(model.path), model.path, n_cells=n_cells, n_batch=n_batch)
    progress(0.0)
    digest = file_digest(model.path, config.state_dir)
    shape = Shape(n_cells, n_batch, _n_sequences(config), _n_threads(config))
    backend = Llama(model.path, shape, progress)
    context_tokens = min(config.model.context_tokens, backend.n_ctx_train or n_cells)
    form = _format_of(model, backend)
    return Opened(backend, model.name, digest, form, _canary_of(model), context_tokens)


def _format_of(model: Installed, backend: Llama) -> Format:
    if model.form is not None:
        return role_format(model.form, model.form_origin)
    if backend.chat_template:
        words = backend.vocabulary
        return ChatTemplate(backend.chat_template, bos=words.bos_text, eos=words.eos_text)
    # A base model knows no roles: its prompt is the text to go on with.
    return RoleFormat({"user": "{content}"}, answer="")


def _canary_of(model: Installed) -> Canary:
    known = model.canary
    if known is None:
        return ANY_TEXT
    return Canary(Prompt(known.root, known.payload, known.suffix), known.schema, known.answer)


def _open_sim(config: Config) -> Opened:
    backend = sim.Sim(
        n_cells=_n_cells(config), n_batch=_n_batch(config), n_sequences=_n_sequences(config)
    )
    source = Path(sim.__file__).read_bytes()
    digest = f"sha256:{hashlib.sha256(source).hexdigest()}"
    return Opened(backend, "sim", digest, _SIM_FORMAT, ANY_TEXT, config.model.context_tokens)


def _preparer(config: Config, opened: Opened) -> Preparer:
    engine, vocabulary = config.engine, opened.backend.vocabulary
    lengths = Lengths(engine.schema_bytes_max, engine.string_chars_max, engine.array_items_max)
    return Preparer(
        vocabulary=vocabulary,
        form=opened.form,
        constraints=Constraints(vocabulary.guidance, vocabulary.n_tokens, lengths),
        context_tokens=opened.context_tokens,
        answer_tokens=engine.answer_tokens_default,
    )


def measured_pace(backend: Backend) -> Pace:
    """Return the seconds per token that a first prefill and a first decode take.

    The first batch warms caches and page tables, so the second is the one that counts.
    """
    token = backend.vocabulary.bos or 0
    count = min(PACE_TOKENS, backend.n_batch)
    took_s = [_timed(backend, Run(0, place * count, [token] * count, False)) for place in (0, 1)]
    decode_s = _timed(backend, Run(0, 2 * count, [token], True))
    backend.drop(0)
    return Pace(prefill_s=max(1e-7, took_s[1] / count), decode_s=max(1e-7, decode_s))


def _timed(backend: Backend, run: Run) -> float:
    started_s = time.monotonic()
    backend.decode([run])
    return time.monotonic() - started_s


def _n_cells(config: Config) -> int:
    # llama.cpp pads the KV cache to 256 cells.
    return -(-config.model.context_tokens * config.model.sequences // 256) * 256


def _n_batch(config: Config) -> int:
    return config.engine.chunk_tokens + 8 * config.model.sequences


def _n_sequences(config: Config) -> int:
    return config.model.sequences + ROOTS_MAX + 1  # the canary's


def _n_threads(config: Config) -> int:
    return config.model.threads or compute_threads()
