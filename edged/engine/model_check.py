"""Can the configured model be served? Found out without loading it.

In:  the configuration.     Out: what is installed, or an error that says what to do.
The engine asks before a load, `edged check` instead of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.config import Config
from edged.engine.formats import RoleFormat, role_format
from edged.engine.ggml.share import share_of
from edged.engine.gguf_file import GgufHeader, read_header
from edged.engine.memory import MEMINFO, check_fits
from edged.engine.opened import n_batch, n_cells, n_sequences
from edged.models.installed import Installed, find_model


@dataclass(frozen=True, slots=True)
class Servable:
    """A model file that is whole and fits.

    Attributes:
        header: of the file.
        form: its format file; None: the GGUF's own chat template is asked.
    """

    model: Installed
    form: RoleFormat | None
    header: GgufHeader


def npu_bytes_of(config: Config, header: GgufHeader) -> int:
    """Return what the NPU's own copy of a model's weights takes, beside the file."""
    return share_of(header.tensors).npu_bytes if config.uses_npu else 0


def check_model(config: Config, meminfo: Path = MEMINFO) -> Servable:
    """Return the configured model, once its file and its format have been looked at.

    Raises:
        EngineUnusable: missing, not a GGUF, cut off, recurrent, or over the free memory.
        ConfigError: its format file or model.toml is wrong.
    """
    model = find_model(config.model)
    form = None if model.form is None else role_format(model.form, model.form_origin)
    header = read_header(model.path)
    check_fits(
        header,
        model.path,
        n_cells=n_cells(config),
        n_batch=n_batch(config),
        n_sequences=n_sequences(config),
        kv_type=config.engine.kv_type,
        npu_bytes=npu_bytes_of(config, header),
        meminfo=meminfo,
    )
    return Servable(model, form, header)
