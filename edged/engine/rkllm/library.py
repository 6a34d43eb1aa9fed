"""Finds librkllmrt and gives its functions their types.

In:  a path, or the loader's search.     Out: `Library`.
Nothing of the library runs here but its constructors. Its version is `evidence`'s business.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_void_p
from pathlib import Path
from typing import Any

from edged.engine.rkllm import structs
from edged.errors import EngineUnusable

NAME = "librkllmrt.so"
GET_IT = "install librkllmrt.so 1.3.0 for aarch64 and name it in rkllm.library"


class Library:
    """The loaded library; every function but `create_default_param` returns 0 on success.

    Source: rkllm.h v1.3.0.

    Args:
        path: the file; None: where the loader finds `librkllmrt.so`.

    Raises:
        EngineUnusable: there is none, or it is something else.
    """

    def __init__(self, path: Path | None) -> None:
        self.name = str(path or NAME)
        if path is not None and not path.is_file():
            raise EngineUnusable(f"{path}: there is no such library (rkllm.library); {GET_IT}")
        try:
            self._library = ctypes.CDLL(self.name)
        except OSError as error:
            raise EngineUnusable(
                f"the RKLLM runtime cannot be loaded: {error}; {GET_IT}"
            ) from error
        handle, place = c_void_p, POINTER(c_int)
        param, callback = POINTER(structs.Param), POINTER(structs.Callback)
        prompt, infer = POINTER(structs.Input), POINTER(structs.InferParam)
        self.create_default_param = self._function("createDefaultParam")
        self.create_default_param.restype = structs.Param
        self.init = self._function("init", POINTER(handle), param, callback)
        self.run = self._function("run", handle, prompt, infer, c_void_p)
        self.abort = self._function("abort", handle)
        self.clear_kv_cache = self._function("clear_kv_cache", handle, c_int, place, place)
        self.set_chat_template = self._function("set_chat_template", handle, *[c_char_p] * 3)
        self.load_prompt_cache = self._function("load_prompt_cache", handle, c_char_p)
        self.destroy = self._function("destroy", handle)

    def _function(self, name: str, *arguments: Any) -> Any:
        try:
            function = getattr(self._library, f"rkllm_{name}")
        except AttributeError as error:
            raise EngineUnusable(
                f"{self.name}: this is no RKLLM runtime, it has no rkllm_{name}; {GET_IT}"
            ) from error
        function.argtypes = arguments
        function.restype = c_int
        return function
