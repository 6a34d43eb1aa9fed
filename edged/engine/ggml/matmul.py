"""One product of matrices, as llama.cpp would have it computed: weights in a device's own buffer.

In:  a weight type, a device or the CPU.     Out: its result, as the CPU reads it.
Weights and activations are random and the same each time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from edged.engine.ggml.registry import CPU, Device, InitParams, ggml
from edged.errors import EngineUnusable

# Inputs, outputs and rows: what every backend read takes, on two and on three cores.
K, N, M = 512, 768, 64
# Source: ggml.h of ggml 0c1e57098, enum ggml_type.
TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q4_K": 12,
    "Q5_K": 13, "Q6_K": 14, "BF16": 30,
}  # fmt: skip
# Source: ggml-backend.h, ggml_backend_buffer_usage; ggml.h, GGML_DEFAULT_GRAPH_SIZE.
WEIGHTS, GRAPH_NODES = 1, 2048
MEMORY_BYTES = 2**20
# Backends choose by the name how a tensor is multiplied.
NAME = b"blk.0.ffn_up.weight"

Matrix = NDArray[np.float32]


def product(kind: str, device: Device | None) -> Matrix:
    """Return the product of the same random matrices, weights quantised to `kind`.

    Args:
        kind: a name in `TYPES`.
        device: where the weights lie and the product should be computed; None: the CPU.

    Raises:
        EngineUnusable: the device does not open, or does not compute.
    """
    functions = ggml()
    random = np.random.default_rng(1)
    weights = random.standard_normal((N, K), dtype=np.float32)
    activations = random.standard_normal((M, K), dtype=np.float32)
    with _context() as static, _context() as graph, _backends(device) as backends:
        weight = functions.new_tensor_2d(static, TYPES[kind], K, N)
        functions.set_name(weight, NAME)
        buft = functions.cpu_buffer_type()
        if device is not None:
            buft = functions.dev_buffer_type(device.handle)
        buffer = functions.alloc_from_buft(static, buft)
        if not buffer:
            raise EngineUnusable("the device has no memory for a test; end what else uses the NPU")
        functions.buffer_set_usage(buffer, WEIGHTS)
        packed = _quantised(weights, TYPES[kind])
        functions.tensor_set(weight, packed.ctypes.data, 0, packed.nbytes)
        result = _computed(graph, weight, activations, backends)
        functions.buffer_free(buffer)
    return result


def _computed(graph: int, weight: int, activations: Matrix, backends: list[int]) -> Matrix:
    functions = ggml()
    rows = functions.new_tensor_2d(graph, TYPES["F32"], K, M)
    functions.set_input(rows)
    product = functions.mul_mat(graph, weight, rows)
    functions.set_output(product)
    nodes = functions.new_graph(graph)
    functions.build_forward_expand(nodes, product)
    handles = (ctypes.c_void_p * len(backends))(*backends)
    scheduler = functions.sched_new(handles, None, len(backends), GRAPH_NODES, False, False)
    try:
        if not functions.sched_alloc_graph(scheduler, nodes):
            raise EngineUnusable("the device has no memory for a test; is the NPU in use?")
        functions.tensor_set(rows, activations.ctypes.data, 0, activations.nbytes)
        status = functions.sched_compute(scheduler, nodes)
        if status != 0:
            raise EngineUnusable(f"the device does not compute: ggml status {status}")
        result = np.empty((M, N), dtype=np.float32)
        functions.tensor_get(product, result.ctypes.data, 0, result.nbytes)
        return result
    finally:
        functions.sched_free(scheduler)


@contextmanager
def _context() -> Iterator[int]:
    context = ggml().init(InitParams(MEMORY_BYTES, None, True))
    try:
        yield context
    finally:
        ggml().free(context)


@contextmanager
def _backends(device: Device | None) -> Iterator[list[int]]:
    """Open the device, if any, and the CPU, which must come last."""
    functions = ggml()
    opened = [] if device is None else [device.init()]
    opened.append(functions.dev_init(functions.dev_by_type(CPU), None))
    try:
        if None in opened:
            raise EngineUnusable(
                "the NPU's backend does not open its device; does it know this SoC (npu.device), "
                "and may edged's user open the NPU? `edged doctor` tells"
            )
        yield [one for one in opened if one is not None]
    finally:
        for one in opened:
            if one is not None:
                functions.backend_free(one)


def _quantised(weights: Matrix, kind: int) -> NDArray[np.uint8]:
    rows, width = weights.shape
    packed = np.zeros(rows * ggml().row_size(kind, width), dtype=np.uint8)
    values = weights.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    ggml().quantize_chunk(kind, values, packed.ctypes.data, 0, rows, width, None)
    return packed
