"""Targets: files that a person or a download wrote: configuration, model.

In:  bytes.     Out: nothing; an exception is a finding.
"""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

from edged import config
from edged.engine.gguf_file import read_header
from edged.engine.memory import check_fits
from edged.errors import ConfigError, EngineUnusable
from edged.site import site_of
from tools.fuzz.target import Target


@functools.cache
def folder() -> Path:
    """Return a folder for the files, gone with the process."""
    # Where there is one, no disk has to wait for each input; unless somebody names a place.
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and "TMPDIR" not in os.environ else None
    made = tempfile.TemporaryDirectory(prefix="edged-fuzz-", dir=parent)
    _KEPT.append(made)
    return Path(made.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def check_config(data: bytes) -> None:
    """Take bytes as a configuration: it is wrong in words, or a board can be made of it."""
    path = folder() / "edged.toml"
    path.write_bytes(data)
    try:
        settings = config.load(path)
        if settings.model.path is None and settings.model.templates_dir is None:
            site_of(settings)
    except ConfigError:
        return


def check_gguf(data: bytes) -> None:
    """Take bytes as a model: it is refused in words, or its memory can be told."""
    path = folder() / "model.gguf"
    path.write_bytes(data)
    try:
        header = read_header(path)
        check_fits(header, path, n_cells=1024, n_batch=64, n_sequences=4)
    except EngineUnusable:
        return


_TABLES = tuple(
    f"\n[{name}]\n".encode()
    for name in ("node", "broker", "model", "engine", "spool", "power", "clients.a", "[input]")
)
_KEYS = (b'name = "', b'topic = "', b"budget_w = ", b'client = "{1}"\n', b'template = "dock-event"')
_GGUF = (
    *(b"GGUF", b"general.architecture", b"general.alignment", b"llama.block_count"),
    *(kind.to_bytes(4, "little") for kind in range(13)),
)

TARGETS = (
    Target("config", check_config, (*_TABLES, *_KEYS), share=0.6),
    Target("gguf", check_gguf, _GGUF, share=1.0),
)
