"""The RKLLM stub: compiled here, given a model and rules; engines and sessions over it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engine_fixtures import write_config
from tests.rkllm_layout import static_asserts

SOURCE = Path(__file__).parent / "rkllm_stub.c"
FORMAT = """\
answer = "<|im_start|>assistant\\n"
stop = ["<|im_end|>"]

[roles]
system = "<|im_start|>system\\n{content}<|im_end|>\\n"
user = "<|im_start|>user\\n{content}<|im_end|>\\n"
assistant = "<|im_start|>assistant\\n{content}<|im_end|>\\n"
"""


def stub_library(folder: Path) -> Path:
    """Return the compiled stub; a size or offset that is not ours does not compile."""
    library = folder / "librkllmrt.so"
    if library.exists():
        return library
    with tempfile.TemporaryDirectory(dir=folder) as built:
        Path(built, "rkllm_layout.h").write_text(static_asserts())
        command = ["gcc", "-shared", "-fPIC", "-O1", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
        command += ["-I", built, "-o", f"{built}/librkllmrt.so", str(SOURCE)]
        subprocess.run(command, check=True)
        Path(built, "librkllmrt.so").replace(library)
    return library


@dataclass(frozen=True)
class Rule:
    """Prompts that contain `needle` are answered in a mode, with each of the texts in turn."""

    needle: str
    mode: str
    texts: tuple[str, ...] = ()


def say(needle: str, *texts: str) -> Rule:
    return Rule(needle, "say", texts)


def write_model(
    path: Path,
    rules: Iterable[Rule] = (),
    *,
    target: str = "RK3588",
    toolkit: str = "1.3.0",
    context_limit: int = 16_384,
) -> Path:
    """Write a model file that the stub understands."""
    lines = [f"rkllm-stub target={target} toolkit={toolkit} limit={context_limit}"]
    lines += ["\t".join([rule.needle, rule.mode, *rule.texts]) for rule in rules]
    path.write_text("\n".join(lines) + "\n")
    return path


def rkllm_tables(
    folder: Path, library: Path, rules: Iterable[Rule] = (), **keys: Any
) -> dict[str, dict[str, Any]]:
    """Return the tables of a configuration that runs the stub with these rules."""
    form = folder / "format.toml"
    form.write_text(FORMAT)
    model = write_model(folder / "model.rkllm", rules)
    return {
        "engine": {"backend": "rkllm"},
        "model": {"path": str(model), "format": str(form)},
        "rkllm": {"library": str(library), "lock": str(folder / "npu.lock"), **keys},
    }


def rkllm_config(folder: Path, library: Path, rules: Iterable[Rule] = (), **keys: Any) -> Path:
    """Write the configuration of an engine over the stub."""
    return write_config(folder, **rkllm_tables(folder, library, rules, **keys))


@dataclass(frozen=True)
class Calls:
    """What the stub wrote down of the calls it got."""

    path: Path

    def of(self, pid: int) -> list[str]:
        """Return the calls of one process, oldest first."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{pid} ")]

    def names(self, pid: int) -> list[str]:
        """Return the calls' names alone."""
        return [call.split(" ")[0] for call in self.of(pid)]


def stub_environment(log: Path, *options: str) -> dict[str, str]:
    """Return the variables that the stub reads."""
    return {"RKLLM_STUB": ",".join(options), "RKLLM_STUB_LOG": os.fspath(log)}
