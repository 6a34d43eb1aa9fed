"""What a board would make of a GGUF file.

In:  the file's header, the configuration, free memory, the SoC.     Out: `Looked`, findings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.config import Config
from edged.doctor.finding import Finding, error, warning, well
from edged.doctor.published import Expected, expected
from edged.engine.ggml.share import Share, share_of
from edged.engine.gguf_file import GgufHeader, read_header
from edged.engine.memory import available_bytes, check_fits, forecast
from edged.engine.model_check import npu_bytes_of
from edged.engine.opened import n_batch, n_cells, n_sequences
from edged.errors import EngineUnusable

# Types whose weights have as many bits as those of the published rows: decode waits for bytes.
AS_MANY_BITS = {"Q4_K": "Q4_0", "IQ4_NL": "Q4_0", "BF16": "F16"}
FAST = "Q4_0"
LARGER = ("F16", "Q8_0")
ON_THE_NPU = (
    "for a ggml backend: llama-quantize MODEL-F16.gguf MODEL-Q8_0.gguf Q8_0; for RKLLM: convert "
    "the original model by rkllm-toolkit 1.3 to w8a8 (see docs/npu.md)"
)


@dataclass(frozen=True, slots=True)
class Looked:
    """A GGUF file in this machine's memory.

    Attributes:
        header: None where it cannot be read; `problem` tells why, or why it does not fit.
        needs_bytes, free_bytes: of memory; None where they are not known.
        context_tokens: as configured.
    """

    header: GgufHeader | None
    problem: str | None
    context_tokens: int
    needs_bytes: int | None = None
    free_bytes: int | None = None

    @property
    def share(self) -> Share:
        """Return where its weights would go."""
        return share_of(() if self.header is None else self.header.tensors)


def look(file: Path, config: Config, meminfo: Path) -> Looked:
    """Read the header and ask whether the model fits as it is configured."""
    context_tokens = config.model.context_tokens
    try:
        header = read_header(file)
    except EngineUnusable as unusable:
        return Looked(None, str(unusable), context_tokens)
    cells, batch, sequences = n_cells(config), n_batch(config), n_sequences(config)
    kv_type = config.engine.kv_type
    npu_bytes = npu_bytes_of(config, header)
    needs = forecast(
        header,
        n_cells=cells,
        n_batch=batch,
        n_sequences=sequences,
        kv_type=kv_type,
        npu_bytes=npu_bytes,
    ).total_bytes
    free_bytes = available_bytes(meminfo)
    try:
        check_fits(
            header,
            file,
            n_cells=cells,
            n_batch=batch,
            n_sequences=sequences,
            kv_type=kv_type,
            npu_bytes=npu_bytes,
            meminfo=meminfo,
        )
    except EngineUnusable as unusable:
        return Looked(header, str(unusable), context_tokens, needs, free_bytes)
    return Looked(header, None, context_tokens, needs, free_bytes)


def judge(looked: Looked, soc: str | None) -> list[Finding]:
    """Return what is to be said of the file on this SoC; None is any other machine."""
    found = [_fit(looked)]
    header = looked.header
    if header is None:
        return found
    found += _context(looked, header)
    if soc is not None:
        found += _npu(looked.share)
        found += judge_speed(looked.share, soc, is_mixture=header.number("expert_count") > 0)
    return found


def _fit(looked: Looked) -> Finding:
    if looked.problem is not None:
        says, _, advice = looked.problem.rpartition("; ")
        return error("fit", says or advice, advice if says else "copy the file again")
    needs = f"needs {(looked.needs_bytes or 0) / 2**20:.0f} MiB as configured"
    if looked.free_bytes is None:
        return well("fit", f"{needs}; how much memory is free is not known")
    return well("fit", f"{needs}, {looked.free_bytes / 2**20:.0f} MiB are free")


def _context(looked: Looked, header: GgufHeader) -> list[Finding]:
    trained = header.number("context_length")
    if not trained or looked.context_tokens <= trained:
        return []
    says = (
        f"model.context_tokens = {looked.context_tokens}, and the model was trained with {trained} "
        "tokens: answers get worse behind them"
    )
    return [warning("context", says, f"set model.context_tokens = {trained}")]


def _npu(share: Share) -> list[Finding]:
    """Return what runs where, and that 4-bit K quants have no place on the NPU."""
    kinds = ", ".join(
        f"{kind} {count / share.weights:.0%}"
        for kind, count in sorted(share.by_kind.items(), key=lambda pair: -pair[1])
    )
    says = (
        f"a ggml backend for the NPU (npu.library) would take {share.npu_share:.0%} of the weights "
        f"({kinds}) and {share.npu_bytes / 2**20:.0f} MiB more memory; without one the CPU "
        "computes all of it"
    )
    found = [well("npu", says)]
    q4_k = share.share_of("Q4_K")
    if q4_k:
        left = f"Q4_K has no place on the NPU: {q4_k:.0%} of the weights stay on the CPU"
        found.append(warning("npu", left, ON_THE_NPU))
    return found


def judge_speed(share: Share, soc: str, *, is_mixture: bool) -> list[Finding]:
    """Return published speed and watts of the nearest dense model, and a faster quantisation."""
    if not share.by_kind:
        return []
    kind = max(share.by_kind, key=lambda one: share.by_kind[one])
    kind = AS_MANY_BITS.get(kind, kind)
    size = share.weights / 1e9
    now = None if is_mixture else expected(soc, "cpu", kind, size)
    if now is None:
        says = (
            f"nothing is published that is near enough: {kind} of this size on the CPU of a {soc}"
        )
        return [well("speed", says)]
    found = [well("speed", told(now)), well("watts", told_watts(now))]
    fast = expected(soc, "cpu", FAST, size)
    if kind in LARGER and fast is not None and fast.decode_tok_s > now.decode_tok_s:
        says = (
            f"{FAST} decodes faster: about {fast.decode_tok_s:.1f} instead of "
            f"{now.decode_tok_s:.1f} tokens/s by the published figures; its answers can be worse"
        )
        mend = f"llama-quantize MODEL-F16.gguf MODEL-{FAST}.gguf {FAST}, then compare the answers"
        found.append(warning("quantise", says, mend))
    return found


def told(now: Expected) -> str:
    """Return the speed in a sentence that says whose figure it is."""
    row = now.of
    first = f", first token after {row.first_token_s:.2g} s" if row.first_token_s else ""
    return (
        f"about {now.decode_tok_s:.1f} tokens/s for one prompt, published, not measured here: "
        f"scaled by size from {row.model} {row.quantisation}, {row.decode_tok_s:g} tokens/s{first}"
    )


def told_watts(now: Expected) -> str:
    """Return the watts in a sentence that says whose figure they are."""
    if now.of.over_idle_w is None:
        return "nobody has published watts for this"
    return f"{now.of.over_idle_w:g} W above idle, published for {now.of.model}, not measured here"
