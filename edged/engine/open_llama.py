"""Finds the configured GGUF, checks it before llama.cpp sees it, and loads it.

In:  the configuration.     Out: `Opened`.
Threads: the step thread's. Nothing else but the tests imports llama.cpp.
"""

from __future__ import annotations

from edged.config import Config
from edged.engine.canary import ANY_TEXT, Canary
from edged.engine.formats import Format, RoleFormat
from edged.engine.frames import Prompt
from edged.engine.ggml.open import open_npu
from edged.engine.llama import Llama, Shape
from edged.engine.model_check import check_model
from edged.engine.opened import Opened, Progress, n_batch, n_cells, n_sequences
from edged.engine.threads import compute_threads
from edged.errors import EngineUnusable
from edged.models.installed import Installed, file_digest


def open_llama(config: Config, progress: Progress) -> Opened:
    """Return the loaded model.

    Raises:
        EngineUnusable: missing, damaged, too large, or of a kind that cannot be served.
        ConfigError: its format file is wrong.
    """
    servable = check_model(config)
    model = servable.model
    npu = open_npu(config, servable.header)
    shape = Shape(
        n_cells=n_cells(config),
        n_batch=n_batch(config),
        n_sequences=n_sequences(config),
        n_threads=config.model.threads or compute_threads(),
        kv_type=config.engine.kv_type,
        # Where an NPU's weights lie with the CPU's, a layout of the CPU's own would keep it out.
        repacks=npu is None or not npu.is_host,
    )
    progress(0.0)
    digest = file_digest(model.path, config.state_dir)
    _check_shipped(model, digest)
    backend = Llama(model.path, shape, progress, npu)
    context_tokens = min(config.model.context_tokens, backend.n_ctx_train or shape.n_cells)
    form, canary = servable.form or _format_inside(backend), _canary_of(model)
    return Opened(backend, model.name, digest, form, canary, context_tokens, npu)


def _check_shipped(model: Installed, digest: str) -> None:
    if model.digest not in (None, digest):
        raise EngineUnusable(
            f"{model.path}: this is not the file that ships with edged: its digest is {digest}, "
            f"model.toml names {model.digest}; install edged again"
        )


def _format_inside(backend: Llama) -> Format:
    if backend.chat_template:
        # Only here: Jinja takes 1.6 MiB.
        from edged.engine.chat_template import ChatTemplate

        words = backend.vocabulary
        return ChatTemplate(backend.chat_template, bos=words.bos_text, eos=words.eos_text)
    # A base model knows no roles: its prompt is the text to go on with.
    return RoleFormat({"user": "{content}"}, answer="")


def _canary_of(model: Installed) -> Canary:
    known = model.canary
    if known is None:
        return ANY_TEXT
    return Canary(Prompt(known.root, known.payload, known.suffix), known.schema, known.answer)
