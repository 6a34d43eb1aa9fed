"""Sizes and offsets of RKLLM 1.3.0's structs: our reading of its header, once for C and Python."""

from __future__ import annotations

import ctypes

from edged.engine.rkllm import structs

# C type of the stub, ctypes class, size, offset of each field; bytes on a 64-bit Linux.
LAYOUT: tuple[tuple[str, type[ctypes.Structure], int, dict[str, int]], ...] = (
    (
        "ExtendParam",
        structs.ExtendParam,
        120,
        {
            "base_domain_id": 0,
            "embed_flash": 4,
            "enabled_cpus_num": 5,
            "enabled_cpus_mask": 8,
            "n_batch": 12,
            "use_cross_attn": 13,
            "reserved": 14,
        },
    ),
    (
        "Param",
        structs.Param,
        184,
        {
            "model_path": 0,
            "max_context_len": 8,
            "max_new_tokens": 12,
            "top_k": 16,
            "n_keep": 20,
            "top_p": 24,
            "temperature": 28,
            "repeat_penalty": 32,
            "frequency_penalty": 36,
            "presence_penalty": 40,
            "mirostat": 44,
            "mirostat_tau": 48,
            "mirostat_eta": 52,
            "skip_special_token": 56,
            "ignore_eos_token": 57,
            "is_async": 58,
            "extend_param": 60,
        },
    ),
    (
        "SamplingParam",
        structs.SamplingParam,
        36,
        {
            "top_k": 0,
            "top_p": 4,
            "temperature": 8,
            "repeat_penalty": 12,
            "frequency_penalty": 16,
            "presence_penalty": 20,
            "mirostat": 24,
            "mirostat_tau": 28,
            "mirostat_eta": 32,
        },
    ),
    (
        "PromptCacheParam",
        structs.PromptCacheParam,
        16,
        {"save_prompt_cache": 0, "prompt_cache_path": 8},
    ),
    (
        "InferParam",
        structs.InferParam,
        40,
        {
            "mode": 0,
            "lora_params": 8,
            "prompt_cache_params": 16,
            "sampling_params": 24,
            "keep_history": 32,
            "max_new_tokens": 36,
        },
    ),
    ("MultiModalInput", structs.MultiModalInput, 144, {"prompt": 0, "image": 8, "video": 72}),
    (
        "Input",
        structs.Input,
        160,
        {"role": 0, "enable_thinking": 8, "input_type": 12, "prompt_input": 16},
    ),
    (
        "PerfStat",
        structs.PerfStat,
        20,
        {
            "prefill_time_ms": 0,
            "prefill_tokens": 4,
            "generate_time_ms": 8,
            "generate_tokens": 12,
            "memory_usage_mb": 16,
        },
    ),
    (
        "Result",
        structs.Result,
        72,
        {"text": 0, "token_id": 8, "last_hidden_layer": 16, "logits": 32, "perf": 48},
    ),
    (
        "Callback",
        structs.Callback,
        48,
        {
            "result_callback": 0,
            "result_userdata": 8,
            "tokenizer_callback": 16,
            "tokenizer_userdata": 24,
            "embed_callback": 32,
            "embed_userdata": 40,
        },
    ),
)


def static_asserts() -> str:
    """Return C that does not compile where a struct of the stub is laid out in another way."""
    lines = []
    for name, _, size, offsets in LAYOUT:
        lines.append(f'_Static_assert(sizeof({name}) == {size}, "{name}");')
        lines += [
            f'_Static_assert(offsetof({name}, {field}) == {offset}, "{name}.{field}");'
            for field, offset in offsets.items()
        ]
    return "\n".join(lines) + "\n"
