"""The runtime's C structs as ctypes sees them.

In, Out: nothing; types alone.
Source: airockchip/rknn-llm v1.3.0, `rkllm.h`, LP64. Field names are the header's. Another version
lays them out in another way and corrupts memory: `evidence` keeps those out.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    c_bool,
    c_char_p,
    c_float,
    c_int,
    c_int8,
    c_int32,
    c_size_t,
    c_uint8,
    c_uint32,
    c_void_p,
)
from enum import IntEnum
from typing import Any, ClassVar

GREEDY_TOP_K = 1


class CallState(IntEnum):
    """Why the result callback was called; WAITING: a character is not whole yet."""

    NORMAL = 0
    WAITING = 1
    FINISH = 2
    ERROR = 3


INPUT_PROMPT = 0
INFER_GENERATE = 0


_SAMPLING: list[tuple[str, Any]] = [
    ("top_p", c_float),
    ("temperature", c_float),
    ("repeat_penalty", c_float),
    ("frequency_penalty", c_float),
    ("presence_penalty", c_float),
    ("mirostat", c_int32),
    ("mirostat_tau", c_float),
    ("mirostat_eta", c_float),
]


class ExtendParam(ctypes.Structure):
    """`RKLLMExtendParam`."""

    _fields_: ClassVar = [
        ("base_domain_id", c_int32),
        ("embed_flash", c_int8),
        ("enabled_cpus_num", c_int8),
        ("enabled_cpus_mask", c_uint32),
        ("n_batch", c_uint8),
        ("use_cross_attn", c_int8),
        ("reserved", c_uint8 * 104),
    ]


class Param(ctypes.Structure):
    """`RKLLMParam`: how a model is opened."""

    _fields_: ClassVar = [
        ("model_path", c_char_p),
        ("max_context_len", c_int32),
        ("max_new_tokens", c_int32),
        ("top_k", c_int32),
        ("n_keep", c_int32),
        *_SAMPLING,
        ("skip_special_token", c_bool),
        ("ignore_eos_token", c_bool),
        ("is_async", c_bool),
        ("extend_param", ExtendParam),
    ]


class SamplingParam(ctypes.Structure):
    """`RKLLMSamplingParam`: takes the place of `Param`'s for one run."""

    _fields_: ClassVar = [
        ("top_k", c_int32),
        *_SAMPLING,
    ]


class PromptCacheParam(ctypes.Structure):
    """`RKLLMPromptCacheParam`: where a run writes the KV cache of its prompt."""

    _fields_: ClassVar = [("save_prompt_cache", c_int), ("prompt_cache_path", c_char_p)]


class InferParam(ctypes.Structure):
    """`RKLLMInferParam`: how one run is made."""

    _fields_: ClassVar = [
        ("mode", c_int),
        ("lora_params", c_void_p),
        ("prompt_cache_params", ctypes.POINTER(PromptCacheParam)),
        ("sampling_params", ctypes.POINTER(SamplingParam)),
        ("keep_history", c_int),
        ("max_new_tokens", c_int32),
    ]


class ImageInput(ctypes.Structure):
    """The image part of `RKLLMMultiModalInput`; here for its size alone."""

    _fields_: ClassVar = [
        ("image_embed", c_void_p),
        ("n_image_tokens", c_size_t),
        ("n_image", c_size_t),
        ("image_start", c_char_p),
        ("image_end", c_char_p),
        ("image_content", c_char_p),
        ("image_width", c_size_t),
        ("image_height", c_size_t),
    ]


class VideoInput(ctypes.Structure):
    """The video part of `RKLLMMultiModalInput`; here for its size alone."""

    _fields_: ClassVar = [
        ("video_embed", c_void_p),
        ("n_frame_tokens", c_size_t),
        ("n_frame_per_video", c_size_t),
        ("n_video", c_size_t),
        ("video_start", c_char_p),
        ("video_end", c_char_p),
        ("video_content", c_char_p),
        ("frame_width", c_size_t),
        ("frame_height", c_size_t),
    ]


class MultiModalInput(ctypes.Structure):
    """`RKLLMMultiModalInput`: the largest member of the union in `Input`."""

    _fields_: ClassVar = [("prompt", c_char_p), ("image", ImageInput), ("video", VideoInput)]


class InputUnion(ctypes.Union):
    """The union in `RKLLMInput`."""

    _fields_: ClassVar = [("prompt_input", c_char_p), ("multimodal_input", MultiModalInput)]


class Input(ctypes.Structure):
    """`RKLLMInput`: the prompt of one run."""

    _anonymous_: ClassVar = ("content",)
    _fields_: ClassVar = [
        ("role", c_char_p),
        ("enable_thinking", c_bool),
        ("input_type", c_int),
        ("content", InputUnion),
    ]


class LastHiddenLayer(ctypes.Structure):
    """`RKLLMResultLastHiddenLayer`."""

    _fields_: ClassVar = [
        ("hidden_states", c_void_p),
        ("embd_size", c_int),
        ("num_tokens", c_int),
    ]


class Logits(ctypes.Structure):
    """`RKLLMResultLogits`."""

    _fields_: ClassVar = [("logits", c_void_p), ("vocab_size", c_int), ("num_tokens", c_int)]


class PerfStat(ctypes.Structure):
    """`RKLLMPerfStat`: the runtime's own figures of one run."""

    _fields_: ClassVar = [
        ("prefill_time_ms", c_float),
        ("prefill_tokens", c_int),
        ("generate_time_ms", c_float),
        ("generate_tokens", c_int),
        ("memory_usage_mb", c_float),
    ]


class Result(ctypes.Structure):
    """`RKLLMResult`: what a callback gets."""

    _fields_: ClassVar = [
        ("text", c_char_p),
        ("token_id", c_int32),
        ("last_hidden_layer", LastHiddenLayer),
        ("logits", Logits),
        ("perf", PerfStat),
    ]


# int callback(RKLLMResult*, void* userdata, LLMCallState); 0: go on.
ResultCallback = ctypes.CFUNCTYPE(c_int, ctypes.POINTER(Result), c_void_p, c_int)


class Callback(ctypes.Structure):
    """`RKLLMCallback`; tokenizer and embedding callbacks are for models without their own."""

    _fields_: ClassVar = [
        ("result_callback", ResultCallback),
        ("result_userdata", c_void_p),
        ("tokenizer_callback", c_void_p),
        ("tokenizer_userdata", c_void_p),
        ("embed_callback", c_void_p),
        ("embed_userdata", c_void_p),
    ]
