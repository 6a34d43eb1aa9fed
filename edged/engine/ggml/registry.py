"""The ggml that libllama computes with, and a backend's library opened in it.

In:  the library's path.     Out: `Ggml`, `Device`.
The wheel has three copies of each library. libllama needs `libggml.so.0`: what is loaded through
`libggml.so` lies in a registry of its own, and libllama never sees it.
Source: ggml-backend.h, ggml-alloc.h and ggml.h of ggml 0c1e57098.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int, c_int64, c_size_t, c_void_p
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edged.engine.ggml.sidecar import BUILD_IT
from edged.errors import EngineUnusable

# Source: ggml-backend.h, enum ggml_backend_dev_type.
CPU, ACCEL = 0, 3


class InitParams(ctypes.Structure):
    """`ggml_init_params`."""

    _fields_ = (("mem_size", c_size_t), ("mem_buffer", c_void_p), ("no_alloc", c_bool))


class Ggml:
    """Functions of libggml and libggml-base with their types; handles are opaque pointers."""

    def __init__(self) -> None:
        found = find_spec("llama_cpp")
        assert found is not None, "llama-cpp-python is a dependency"
        assert found.origin is not None, "it is a package of files"
        folder = Path(found.origin).parent / "lib"
        self._base = ctypes.CDLL(str(folder / "libggml-base.so.0"))
        self._registry = ctypes.CDLL(str(folder / "libggml.so.0"))
        self._declare_registry()
        self._declare_devices()
        self._declare_graphs()

    def _declare_registry(self) -> None:
        top, pointer = self._registry, c_void_p
        self.backend_load = _typed(top.ggml_backend_load, pointer, c_char_p)
        self.dev_by_type = _typed(top.ggml_backend_dev_by_type, pointer, c_int)
        self.reg_dev_count = _typed(self._base.ggml_backend_reg_dev_count, c_size_t, pointer)
        self.reg_dev_get = _typed(self._base.ggml_backend_reg_dev_get, pointer, pointer, c_size_t)

    def _declare_devices(self) -> None:
        base, pointer = self._base, c_void_p
        self.dev_name = _typed(base.ggml_backend_dev_name, c_char_p, pointer)
        self.dev_type = _typed(base.ggml_backend_dev_type, c_int, pointer)
        self.dev_init = _typed(base.ggml_backend_dev_init, pointer, pointer, c_char_p)
        self.dev_buffer_type = _typed(base.ggml_backend_dev_buffer_type, pointer, pointer)
        self.cpu_buffer_type = _typed(base.ggml_backend_cpu_buffer_type, pointer)
        self.backend_free = _typed(base.ggml_backend_free, None, pointer)

    def _declare_graphs(self) -> None:
        base, pointer = self._base, c_void_p
        self.init = _typed(base.ggml_init, pointer, InitParams)
        self.free = _typed(base.ggml_free, None, pointer)
        self.new_tensor_2d = _typed(
            base.ggml_new_tensor_2d, pointer, pointer, c_int, c_int64, c_int64
        )
        self.set_name = _typed(base.ggml_set_name, pointer, pointer, c_char_p)
        self.mul_mat = _typed(base.ggml_mul_mat, pointer, pointer, pointer, pointer)
        self.new_graph = _typed(base.ggml_new_graph, pointer, pointer)
        self.build_forward_expand = _typed(base.ggml_build_forward_expand, None, pointer, pointer)
        self.set_input = _typed(base.ggml_set_input, None, pointer)
        self.set_output = _typed(base.ggml_set_output, None, pointer)
        self.row_size = _typed(base.ggml_row_size, c_size_t, c_int, c_int64)
        self.quantize_chunk = _typed(
            base.ggml_quantize_chunk,
            c_size_t,
            c_int,
            POINTER(c_float),
            pointer,
            *[c_int64] * 3,
            pointer,
        )
        self.alloc_from_buft = _typed(
            base.ggml_backend_alloc_ctx_tensors_from_buft, pointer, pointer, pointer
        )
        self.buffer_set_usage = _typed(base.ggml_backend_buffer_set_usage, None, pointer, c_int)
        self.buffer_free = _typed(base.ggml_backend_buffer_free, None, pointer)
        self.tensor_set = _typed(
            base.ggml_backend_tensor_set, None, pointer, pointer, c_size_t, c_size_t
        )
        self.tensor_get = _typed(
            base.ggml_backend_tensor_get, None, pointer, pointer, c_size_t, c_size_t
        )
        self.sched_new = _typed(
            base.ggml_backend_sched_new,
            pointer,
            POINTER(pointer),
            pointer,
            c_int,
            c_size_t,
            c_bool,
            c_bool,
        )
        self.sched_free = _typed(base.ggml_backend_sched_free, None, pointer)
        self.sched_alloc_graph = _typed(
            base.ggml_backend_sched_alloc_graph, c_bool, pointer, pointer
        )
        self.sched_compute = _typed(base.ggml_backend_sched_graph_compute, c_int, pointer, pointer)


@functools.cache
def ggml() -> Ggml:
    """Return the libraries, loaded once."""
    return Ggml()


def _typed(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype = result
    function.argtypes = arguments
    return function


@dataclass(frozen=True, slots=True)
class Counts:
    """What the device has executed in this process.

    Attributes:
        matmuls: products of matrices, each of them inside a graph that came back as a success.
        shapes: bit n: some of them had more than 2^(n-1) and at most 2^n rows.
    """

    matmuls: int
    shapes: int


@dataclass(frozen=True, slots=True)
class Device:
    """A backend's device in libllama's registry.

    Attributes:
        name: as the backend calls it, such as RKNPU.
        is_host: whether its weights lie where the CPU's do.
    """

    name: str
    handle: int
    is_host: bool
    library: ctypes.CDLL

    def counts(self) -> Counts:
        """Return what it has executed so far."""
        values = (ctypes.c_uint64 * 2)()
        self.library.edged_npu_counts(values)
        return Counts(values[0], values[1])

    def init(self) -> int | None:
        """Open the device as llama.cpp does; None: it will not."""
        backend: int | None = ggml().dev_init(self.handle, None)
        return backend


def open_library(path: Path) -> Device:
    """Load a backend's library into the registry that libllama uses; return its device.

    Raises:
        EngineUnusable: it cannot be loaded, or has no device that edged can use.
    """
    functions = ggml()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise EngineUnusable(f"the NPU's backend cannot be loaded: {error}; {BUILD_IT}") from error
    if not hasattr(library, "edged_npu_counts"):
        raise EngineUnusable(
            f"{path}: it does not count what its device executes, so nobody could tell whether it "
            f"is used; {BUILD_IT}"
        )
    library.edged_npu_counts.restype = None
    registration = functions.backend_load(str(path).encode())
    if not registration:
        raise EngineUnusable(f"{path}: ggml refuses this backend's interface; {BUILD_IT}")
    return _device(path, library, registration)


def _device(path: Path, library: ctypes.CDLL, registration: int) -> Device:
    functions = ggml()
    if not functions.reg_dev_count(registration):
        raise EngineUnusable(
            f"{path}: the backend finds no device; is this board's NPU driver loaded? "
            "`edged doctor` tells"
        )
    handle = functions.reg_dev_get(registration, 0)
    name = functions.dev_name(handle).decode("utf-8", "replace")
    if functions.dev_type(handle) != ACCEL:
        raise EngineUnusable(
            f"{path}: its device {name} is not of the type ACCEL, which llama.cpp uses beside the "
            "CPU; leave RKNPU_AS_GPU out"
        )
    is_host = functions.dev_buffer_type(handle) == functions.cpu_buffer_type()
    return Device(name, handle, is_host, library)
