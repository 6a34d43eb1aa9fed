"""llama.cpp's C functions in Python, without the library that llama-cpp-python builds on them.

In:  the installed package.     Out: `llama_cpp` among Python's modules, its lower half alone.
The upper half costs a process that uses none of it some MiB: a cache of contexts in SQLite, chat
formats, Jinja.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec


def bind_lower_half() -> None:
    """Have `import llama_cpp` mean its C functions alone, unless it was imported before.

    Source: llama_cpp/__init__.py of llama-cpp-python 0.3.36: all names of its module `llama_cpp`,
    then all of its module `llama`.
    """
    spec = find_spec("llama_cpp")
    if spec is None or "llama_cpp" in sys.modules:
        return  # who imports it tells that it is not installed
    # A package whose own __init__, which imports the upper half, never runs.
    package = sys.modules["llama_cpp"] = module_from_spec(spec)
    lower = vars(import_module("llama_cpp.llama_cpp"))
    vars(package).update({name: lower[name] for name in lower if not name.startswith("_")})
