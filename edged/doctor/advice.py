"""`edged doctor --model FILE`: what this board would make of a model file.

In:  a path, the configuration, a root.     Out: `Report`: memory, what runs on the NPU, published
speed and watts, better quantisation. The file's header is read, nothing is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edged.config import Config
from edged.doctor import board, gguf_advice, rkllm_advice, rknn_advice
from edged.doctor.finding import Finding, error, well
from edged.doctor.model import MEMINFO
from edged.doctor.report import Report
from edged.doctor.root import Root

GGUF = b"GGUF"


def advise(file: Path, config: Config, root: Root) -> Report:
    """Return what is to be said of a model file on this board."""
    soc, meminfo = board.look(root).soc, root.at(MEMINFO)
    found = [_board(soc)]
    match _kind(file):
        case "llama":
            found.append(_backend(config, "llama", file))
            found += gguf_advice.judge(gguf_advice.look(file, config, meminfo), soc)
        case "rkllm":
            found.append(_backend(config, "rkllm", file))
            found += rkllm_advice.judge(rkllm_advice.look(file, config, meminfo), soc)
        case "rknn":
            found.append(_backend(config, "rknn", file))
            found += rknn_advice.judge(rknn_advice.look(file, config, meminfo), soc)
        case None:
            says = f"{file} is neither a GGUF, a .rkllm nor a .rknn file that can be read"
            found.append(error("model", says, f"ls -l {file}, and name a model file"))
    return Report(tuple(found), f"edged run with {file.name}")


def _kind(file: Path) -> Literal["llama", "rkllm", "rknn"] | None:
    """Return the backend that runs such files; None for what is no model."""
    try:
        with file.open("rb") as opened:
            start = opened.read(len(GGUF))
    except OSError:
        return None
    if start == GGUF:
        return "llama"
    suffixes: dict[str, Literal["rkllm", "rknn"]] = {".rkllm": "rkllm", ".rknn": "rknn"}
    return suffixes.get(file.suffix)


def _board(soc: str | None) -> Finding:
    if soc is None:
        says = "no RK3588 or RK3576: the CPU alone computes, and nothing is published for it here"
        return well("board", says)
    return well("board", soc)


def _backend(config: Config, wanted: str, file: Path) -> Finding:
    """Return whether the configured backend runs this kind of file."""
    has = config.engine.backend
    if has == wanted:
        return well("backend", f"engine.backend = {has} runs {file.name}")
    says = f"engine.backend = {has} does not run {file.name}"
    return error("backend", says, f'set engine.backend = "{wanted}" and model.path = "{file}"')
