"""What a board would make of a GGUF file.

In:  the file's header, the configuration, free memory, the SoC.     Out: `Looked`, findings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.config import Config
from edged.doctor.finding import Finding, error, warning, well
from edged.doctor.published import WORDS, Expected, Way, expected
from edged.engine.ggml.environment import hybrid_of, is_of_four_bits
from edged.engine.ggml.share import Share, share_of
from edged.engine.gguf_file import GgufHeader, read_header
from edged.engine.memory import available_bytes, check_fits, forecast
from edged.engine.model_check import npu_bytes_of
from edged.engine.opened import n_batch, n_cells, n_sequences
from edged.errors import EngineUnusable

# Types whose weights have as many bits as those of the published rows: decode waits for bytes.
AS_MANY_BITS = {"Q4_K": "Q4_0", "IQ4_NL": "Q4_0", "BF16": "F16"}
# What decodes faster than which others: the NPU multiplies what has 4 bits as 8.
FAST: dict[Way, tuple[str, tuple[str, ...]]] = {
    "cpu": ("Q4_0", ("F16", "Q8_0")),
    "npu": ("Q8_0", ("F16",)),
}
ON_THE_NPU = (
    "for a ggml backend: llama-quantize MODEL-F16.gguf MODEL-Q8_0.gguf Q8_0; for RKLLM: convert "
    "the original model by rkllm-toolkit 1.3 to w8a8 (see docs/npu.md)"
)


@dataclass(frozen=True, slots=True)
class OnNpu:
    """What is configured of a ggml backend for the NPU.

    Attributes:
        is_used: whether `npu.library` is set, and the backend is one that reads it.
        hybrid: `npu.hybrid`.
    """

    is_used: bool = False
    hybrid: str = "auto"


@dataclass(frozen=True, slots=True)
class Looked:
    """A GGUF file in this machine's memory.

    Attributes:
        header: None where it cannot be read; `problem` tells why, or why it does not fit.
        needs_bytes, free_bytes: of memory; None where they are not known.
        context_tokens: as configured.
        npu: whether llama.cpp is to compute on the NPU, and how it multiplies there.
    """

    header: GgufHeader | None
    problem: str | None
    context_tokens: int
    npu: OnNpu
    needs_bytes: int | None = None
    free_bytes: int | None = None

    @property
    def share(self) -> Share:
        """Return where its weights would go."""
        return share_of(() if self.header is None else self.header.tensors)


def look(file: Path, config: Config, meminfo: Path) -> Looked:
    """Read the header and ask whether the model fits as it is configured."""
    context_tokens = config.model.context_tokens
    npu = OnNpu(config.uses_npu and config.engine.backend == "llama", config.npu.hybrid)
    try:
        header = read_header(file)
    except EngineUnusable as unusable:
        return Looked(None, str(unusable), context_tokens, npu)
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
        return Looked(header, str(unusable), context_tokens, npu, needs, free_bytes)
    return Looked(header, None, context_tokens, npu, needs, free_bytes)


def judge(looked: Looked, soc: str | None) -> list[Finding]:
    """Return what is to be said of the file on this SoC; None is any other machine."""
    found = [_fit(looked)]
    header = looked.header
    if header is None:
        return found
    found += _context(looked, header)
    if soc is not None:
        found += _npu(looked.share, looked.npu)
        is_mixture = header.number("expert_count") > 0
        found += judge_speed(looked.share, soc, looked.npu, is_mixture=is_mixture)
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


def _npu(share: Share, npu: OnNpu) -> list[Finding]:
    """Return what runs where, and that 4-bit K quants have no place on the NPU."""
    kinds = ", ".join(
        f"{kind} {count / share.weights:.0%}"
        for kind, count in sorted(share.by_kind.items(), key=lambda pair: -pair[1])
    )
    takes, rest = "would take", "without one the CPU computes all of it"
    if npu.is_used:
        takes, rest = "takes", "the CPU computes the rest"
    says = (
        f"a ggml backend for the NPU (npu.library) {takes} {share.npu_share:.0%} of the weights "
        f"({kinds}) and {share.npu_bytes / 2**20:.0f} MiB more memory; {rest}"
    )
    found = [well("npu", says)]
    q4_k = share.share_of("Q4_K")
    if q4_k:
        left = f"Q4_K has no place on the NPU: {q4_k:.0%} of the weights stay on the CPU"
        found.append(warning("npu", left, ON_THE_NPU))
    return found


def judge_speed(share: Share, soc: str, npu: OnNpu, *, is_mixture: bool) -> list[Finding]:
    """Return published speed and watts of the nearest dense model, and a faster quantisation."""
    if not share.by_kind:
        return []
    way, kind = _row_of(share, npu)
    size = share.weights / 1e9
    now = None if is_mixture else expected(soc, way, kind, size)
    if now is None:
        says = f"nothing is published that is near enough: {kind} of this size, {soc}, {WORDS[way]}"
        return [well("speed", says)]
    found = [well("speed", told(now)), well("watts", told_watts(now))]
    fast, slower = FAST[way]
    then = expected(soc, way, fast, size)
    if kind in slower and then is not None and then.decode_tok_s > now.decode_tok_s:
        says = (
            f"{fast} decodes faster: about {then.decode_tok_s:.1f} instead of "
            f"{now.decode_tok_s:.1f} tokens/s by the published figures; its answers can be worse"
        )
        mend = f"llama-quantize MODEL-F16.gguf MODEL-{fast}.gguf {fast}, then compare the answers"
        found.append(warning("quantise", says, mend))
    return found


def _row_of(share: Share, npu: OnNpu) -> tuple[Way, str]:
    """Return what computes most of the weights, and under which name its rows are."""
    kind = max(share.by_kind, key=lambda one: share.by_kind[one])
    if not npu.is_used or share.npu_share <= 0.5:
        return "cpu", AS_MANY_BITS.get(kind, kind)
    if kind == "F16":
        return "npu", kind
    hybrid = hybrid_of(npu.hybrid, share)
    return "npu", "Q4_0" if is_of_four_bits(kind, hybrid) else "Q8_0"


def told(now: Expected) -> str:
    """Return the speed in a sentence that says whose figure it is."""
    row = now.of
    first = f", first token after {row.first_token_s:.2g} s" if row.first_token_s else ""
    return (
        f"about {now.decode_tok_s:.1f} tokens/s for one prompt, published, not measured here: "
        f"scaled by size from {row.model} {row.quantisation} {WORDS[row.way]}, "
        f"{row.decode_tok_s:g} tokens/s{first}"
    )


def told_watts(now: Expected) -> str:
    """Return the watts in a sentence that says whose figure they are."""
    if now.of.over_idle_w is None:
        return "nobody has published watts for this"
    return f"{now.of.over_idle_w:g} W above idle, published for {now.of.model}, not measured here"
