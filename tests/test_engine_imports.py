"""What a real engine has imported beside edged: nothing heavy that it has no use for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edged.engine.frames import Sampling
from tests.engine_fixtures import Daemon, engine_process, work, write_config
from tests.tiny_gguf import write_tiny_gguf

pytestmark = pytest.mark.model

# Each takes a MiB or more, is another process's business, and comes in by one line at the top of a
# module that the engine shares with it.
FOREIGN = {
    "aiomqtt", "asyncio", "cryptography", "diskcache", "jsonschema", "llama_cpp.llama",
    "multiprocessing", "numpy.random", "numpy.testing", "paho", "prometheus_client", "sqlite3",
    "ssl", "unittest",
}  # fmt: skip
# Python runs a module of this name before any other.
TELL_AT_THE_END = """
import atexit, json, pathlib, sys
def tell():
    pathlib.Path(__file__).with_name("imported.json").write_text(json.dumps(list(sys.modules)))
atexit.register(tell)
"""
SCHEMA = {"type": "object", "properties": {"door": {"type": "integer", "maximum": 99}}}
CHAT = "{% for message in messages %}{{ message.content }}{% endfor %}"


def imported(folder: Path, **sections: dict[str, object]) -> set[str]:
    """Return the modules of an engine that started, answered and ended."""
    (folder / "sitecustomize.py").write_text(TELL_AT_THE_END)
    with engine_process(write_config(folder, **sections), folder, folder) as engine:
        daemon = Daemon.connect(engine)
        daemon.ready()
        drawn = Sampling(temperature=1.0, seed=1)
        daemon.ask(work("held", schema=SCHEMA), work("drawn", max_tokens=3, sampling=drawn))
        daemon.close()
        assert engine.terminate() == 0
    return set(json.loads((folder / "imported.json").read_text()))


def test_an_engine_with_llama_cpp_imports_nothing_foreign_and_no_jinja(tmp_path: Path) -> None:
    modules = imported(tmp_path)
    assert {"llama_cpp.llama_cpp", "llguidance", "numpy"} <= modules
    assert modules & {*FOREIGN, "jinja2"} == set()


def test_jinja_is_imported_where_the_model_has_no_format_but_its_own(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "chat.gguf", chat_template=CHAT)
    modules = imported(tmp_path, model={"path": str(path)})
    assert "jinja2" in modules
    assert modules & FOREIGN == set()


def test_a_simulated_engine_imports_no_llama_cpp(tmp_path: Path) -> None:
    modules = imported(tmp_path, engine={"backend": "sim"})
    assert {name for name in modules if name.startswith("llama_cpp")} == set()
