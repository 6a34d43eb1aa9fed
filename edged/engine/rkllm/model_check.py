"""Can the configured .rkllm file be given to the runtime? Found out without either.

In:  the configuration.     Out: model and format, or an error that says what to do.
The engine asks before a load, `edged check` instead of one.
"""

from __future__ import annotations

from pathlib import Path

from edged.config import Config
from edged.engine.formats import RoleFormat, role_format
from edged.engine.memory import MEMINFO, RESERVE_BYTES, available_bytes
from edged.errors import EngineUnusable
from edged.models.installed import Installed, find_model

# Source: RKLLM changelog 1.2.0: contexts of at most 16K.
CONTEXT_TOKENS_MAX = 16_384


def check_rkllm(config: Config, meminfo: Path = MEMINFO) -> tuple[Installed, RoleFormat]:
    """Return model file and format, as far as they can be checked without the library.

    Raises:
        EngineUnusable: no model file or no format named, a context that RKLLM cannot have, or a
            file over the free memory.
        ConfigError: the format file is wrong.
    """
    if config.model.path is None or config.model.path.suffix != ".rkllm":
        raise EngineUnusable(
            "engine.backend = rkllm runs .rkllm files, and model.path is "
            f"{config.model.path or 'not set'}; set model.path to a file that rkllm-toolkit 1.3 "
            "converted for this board"
        )
    model = find_model(config.model)
    if model.form is None:
        raise EngineUnusable(
            "model.format is not set, and RKLLM does not tell the chat template of its models; "
            "give it a format file (see docs/npu.md)"
        )
    form = role_format(model.form, model.form_origin)
    if not form.stop:
        raise EngineUnusable(
            f"{model.form_origin}: stop names no word that ends an answer, and RKLLM does not end "
            'at special tokens by itself; add for example stop = ["<|im_end|>"]'
        )
    if config.model.context_tokens > CONTEXT_TOKENS_MAX:
        raise EngineUnusable(
            f"model.context_tokens = {config.model.context_tokens}: RKLLM holds at most "
            f"{CONTEXT_TOKENS_MAX}; lower it"
        )
    check_rkllm_fits(model.path, meminfo)
    return model, form


def check_rkllm_fits(path: Path, meminfo: Path = MEMINFO) -> None:
    """Refuse a file that memory cannot hold; the NPU's memory is the board's.

    Source: rknn-llm issue 522: where memory runs out the runtime fails late, or crashes.

    Raises:
        EngineUnusable: it is over the free memory.
    """
    needed, free = path.stat().st_size + RESERVE_BYTES, available_bytes(meminfo)
    if free is not None and needed > free:
        raise EngineUnusable(
            f"{path}: its weights need {needed >> 20} MiB and {free >> 20} MiB of memory "
            "are free; end other programs, or take a smaller model"
        )
