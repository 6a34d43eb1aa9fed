"""Opens the runtime without a model so that it prints its version: `python -m` in a child process.

In:  the library's path or name.     Out: what it prints. Nothing else is read of this process.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from edged.engine.rkllm import structs
from edged.engine.rkllm.library import NAME, Library
from edged.engine.rkllm.runtime_log import print_at_once
from edged.errors import EngineUnusable


def main(name: str) -> int:
    """Open the library; return 0 when it said no more than that there is no model."""
    try:
        library = Library(None if name == NAME else Path(name))
    except EngineUnusable as error:
        print(error, flush=True)
        return 1
    print_at_once()
    param = library.create_default_param()
    param.model_path = b"/nonexistent/edged-asks-the-version.rkllm"
    callback = structs.Callback()
    library.init(ctypes.byref(ctypes.c_void_p()), ctypes.byref(param), ctypes.byref(callback))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
