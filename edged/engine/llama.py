"""The llama.cpp backend, on llama-cpp-python's low-level API.

In, Out: as `Backend`. Threads: the step thread's, but for the vocabulary.
Every call that could trip a GGML_ASSERT is guarded, every return code becomes an exception. The
KV cache is unified: `share` only marks cells, it copies nothing.
Source: llama.h of llama.cpp 0c1e57098, the one in llama-cpp-python 0.3.36.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from edged.config import KvType
from edged.engine.backend import Guard, KvFull, Run
from edged.engine.ggml.open import Npu
from edged.engine.llama_log import LlamaLog
from edged.engine.llama_vocabulary import LlamaVocabulary
from edged.engine.sampling import Row
from edged.errors import EngineUnusable

_GGML_TYPES: dict[KvType, int] = {
    "f16": llama_cpp.GGML_TYPE_F16,
    "q8_0": llama_cpp.GGML_TYPE_Q8_0,
}
# From 64 tokens on, a batch is attended to in tiles of 64 (ggml_fa_tile_config::Q), in which each
# token pays for the cells of every sequence in the tile; and matrices are multiplied 16 rows at a
# time. Measured (2 x86-64 cores, shape of Qwen2.5-0.5B, 219 tokens shared, tokens/s): 16 x 3 268,
# 21 x 3 247, 32 x 1 257, 32 x 2 196; one sequence alone 361 to 368 at 48 to 64.
MIXED_TOKENS = 48


@dataclass(frozen=True, slots=True)
class Shape:
    """What the context is made for.

    Attributes:
        n_cells: tokens that the KV cache holds, all sequences together.
        n_batch: tokens in one decode.
        n_sequences: KV sequence ids, and rows of logits in one decode; llama.cpp has 256 at most.
        n_threads: compute threads.
        kv_type: how the KV cache keeps its values.
        repacks: whether the CPU may lay its weights out anew, for itself alone.
    """

    n_cells: int
    n_batch: int
    n_sequences: int
    n_threads: int
    kv_type: KvType = "f16"
    repacks: bool = True


class Llama:
    """A model in memory with one context.

    Attributes:
        npu: what computes part of it, opened before; None: the CPU computes all.
    """

    name = "llama"
    mixed_tokens = MIXED_TOKENS

    def __init__(
        self,
        path: Path,
        shape: Shape,
        progress: Callable[[float], bool],
        npu: Npu | None = None,
    ) -> None:
        """Load a model; `progress` is told 0..1 meanwhile and gives up by returning False.

        Raises:
            EngineUnusable: llama.cpp cannot load it; the text carries its own last words.
        """
        self.npu = npu
        llama_cpp.llama_backend_init()
        self._log = LlamaLog()
        try:
            self._model, self._context = _opened(path, shape, progress, self._log)
        except EngineUnusable:
            self._log.close()
            raise
        self._memory = llama_cpp.llama_get_memory(self._context)
        self.vocabulary = LlamaVocabulary(llama_cpp.llama_model_get_vocab(self._model))
        self.n_cells = int(llama_cpp.llama_n_ctx(self._context))
        self.n_batch = shape.n_batch
        self.n_sequences = shape.n_sequences
        self._guard = Guard(
            shape.n_batch,
            shape.n_sequences,
            self.vocabulary.n_tokens,
            has_window=self.window_tokens > 0,
        )
        self._batch = _Batch(shape.n_batch)

    @property
    def n_ctx_train(self) -> int:
        """Longest sequence that the model was trained for."""
        return int(llama_cpp.llama_model_n_ctx_train(self._model))

    @property
    def npu_matmuls(self) -> int | None:
        """Products of matrices that the NPU has executed since it was opened; None without one."""
        return None if self.npu is None else self.npu.counts().matmuls

    @property
    def window_tokens(self) -> int:
        """Tokens back that the layers with a sliding window see; 0 where there are none."""
        return int(llama_cpp.llama_model_n_swa(self._model))

    @property
    def chat_template(self) -> str | None:
        """The Jinja template inside the file, if it has one."""
        template: bytes | None = llama_cpp.llama_model_chat_template(self._model, None)
        return template.decode("utf-8", "replace") if template else None

    def decode(self, runs: Sequence[Run]) -> list[Row]:
        """Compute a batch; return one row per sampled run, views valid until the next call.

        Raises:
            KvFull: no room in the KV cache; nothing was computed.
            EngineUnusable: llama.cpp failed; its KV cache is in an unknown state.
        """
        self._guard.check(runs)
        sampled = self._batch.fill(runs)
        code = llama_cpp.llama_decode(self._context, self._batch.batch)
        if code == 1:
            raise KvFull("llama_decode found no free cells")
        if code != 0:
            raise EngineUnusable(f"llama_decode failed with {code}: {self._log.last_words()}")
        self._guard.note(runs)
        return [self._row(place) for place in sampled]

    def share(self, source: int, target: int, tokens: int) -> None:
        """Let the empty sequence `target` begin with the first `tokens` of `source`."""
        self._guard.note_share(source, target, tokens)
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, tokens)

    def drop(self, sequence: int) -> None:
        """Empty a sequence; cells shared with others stay theirs.

        Raises:
            EngineUnusable: llama.cpp keeps the cells.
        """
        if not llama_cpp.llama_memory_seq_rm(self._memory, sequence, 0, -1):
            raise EngineUnusable(f"llama.cpp cannot empty KV sequence {sequence}")
        self._guard.note_drop(sequence)

    def close(self) -> None:
        """Free context and model."""
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)
        self._log.close()

    def _row(self, place: int) -> Row:
        logits = llama_cpp.llama_get_logits_ith(self._context, place)
        if not logits:
            raise EngineUnusable(f"llama.cpp kept no logits of batch position {place}")
        return np.ctypeslib.as_array(logits, shape=(self.vocabulary.n_tokens,))


class _Batch:
    """A llama_batch whose arrays are numpy's: filled by slices, never allocated again."""

    def __init__(self, n_batch: int) -> None:
        self._token = np.zeros(n_batch, dtype=np.int32)
        self._position = np.zeros(n_batch, dtype=np.int32)
        self._n_seq_id = np.ones(n_batch, dtype=np.int32)
        self._sequence = np.zeros(n_batch, dtype=np.int32)
        self._logits = np.zeros(n_batch, dtype=np.int8)
        addresses = self._sequence.ctypes.data + 4 * np.arange(n_batch)
        self._sequence_of = addresses.astype(np.uintp)
        self.batch = llama_cpp.llama_batch()
        self.batch.token = _pointer(self._token, llama_cpp.llama_token)
        self.batch.pos = _pointer(self._position, llama_cpp.llama_pos)
        self.batch.n_seq_id = _pointer(self._n_seq_id, ctypes.c_int32)
        self.batch.seq_id = _pointer(self._sequence_of, ctypes.POINTER(llama_cpp.llama_seq_id))
        self.batch.logits = _pointer(self._logits, ctypes.c_int8)

    def fill(self, runs: Sequence[Run]) -> list[int]:
        """Set the batch; return the batch positions whose logits are wanted."""
        at = 0
        sampled: list[int] = []
        for run in runs:
            end = at + len(run.tokens)
            self._token[at:end] = run.tokens
            self._position[at:end] = np.arange(run.start, run.start + len(run.tokens))
            self._sequence[at:end] = run.sequence
            self._logits[at:end] = 0
            if run.is_sampled:
                self._logits[end - 1] = 1
                sampled.append(end - 1)
            at = end
        self.batch.n_tokens = at
        return sampled


def _pointer(array: NDArray[Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))


def _opened(
    path: Path, shape: Shape, progress: Callable[[float], bool], log: LlamaLog
) -> tuple[Any, Any]:
    """Return model and context."""
    model = _loaded(path, shape, progress, log)
    try:
        _refuse_unfit(model, path)
        return model, _context(model, shape, log)
    except EngineUnusable:
        llama_cpp.llama_model_free(model)
        raise


def _loaded(path: Path, shape: Shape, progress: Callable[[float], bool], log: LlamaLog) -> Any:
    told = llama_cpp.llama_progress_callback(lambda share, _: progress(float(share)))
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = 0
    parameters.use_extra_bufts = shape.repacks
    parameters.progress_callback = told
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
    if not model:
        raise EngineUnusable(f"{path}: llama.cpp cannot load it: {log.last_words()}")
    return model


def _refuse_unfit(model: Any, path: Path) -> None:
    unfit = {
        "a recurrent model": llama_cpp.llama_model_is_recurrent(model),
        "a hybrid model": llama_cpp.llama_model_is_hybrid(model),
        "a diffusion model": llama_cpp.llama_model_is_diffusion(model),
        "an encoder": llama_cpp.llama_model_has_encoder(model),
    }
    for kind, is_so in unfit.items():
        if is_so:
            raise EngineUnusable(
                f"{path}: {_architecture(model)} is {kind}; edged shares template roots between "
                "sequences and needs a decoder whose memory is attention alone"
            )


def _architecture(model: Any) -> str:
    name = ctypes.create_string_buffer(64)
    llama_cpp.llama_model_meta_val_str(model, b"general.architecture", name, len(name))
    return name.value.decode("utf-8", "replace")


def _context(model: Any, shape: Shape, log: LlamaLog) -> Any:
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = shape.n_cells
    parameters.n_batch = parameters.n_ubatch = shape.n_batch
    parameters.n_seq_max = shape.n_sequences
    # Fewer than n_seq_max trips an assert; the default, n_batch, costs n_batch x n_vocab x 4 bytes.
    parameters.n_outputs_max = shape.n_sequences
    parameters.n_threads = parameters.n_threads_batch = shape.n_threads
    parameters.kv_unified = True
    # A smaller cache for the layers with a sliding window can be full while this one has room: a
    # root's cells are never used again as long as a sequence shares them, in or out of the window.
    parameters.swa_full = True
    parameters.type_k = parameters.type_v = _GGML_TYPES[shape.kv_type]
    # Where V is q8_0, llama.cpp turns AUTO into ENABLED: it has no other way to read it.
    parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO
    context = llama_cpp.llama_init_from_model(model, parameters)
    if not context:
        raise EngineUnusable(
            f"llama.cpp cannot make a context of {shape.n_cells} tokens: {log.last_words()}"
        )
    return context
