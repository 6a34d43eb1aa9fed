"""What the backend's library reads from the environment, as an explicit map.

In:  the table `[npu]`, the SoC, the model's weights.     Out: names and values. Pure but for `put`.
Several variables count by being there, whatever their value: so the map has what is wanted and
nothing else, and what a shell left behind is taken away.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from edged.config import Npu
from edged.engine.ggml.share import Share

PREFIXES = ("RKNPU_", "GGML_RKNPU2_", "ORK_")
# Source: rk-llama.cpp, ggml/src/ggml-rknpu2/README.md: 4 bits by 4 bits cost 40.9 instead of 26.2
# of perplexity on Gemma-3-1B, and a prefill several times slower; 8 bits by 8 bits neither.
RECOMMENDED = "W8A8_STANDARD"
# Types that these backends would multiply in 4 bits, all or every other tensor of them.
OF_FEW_BITS = ("Q4_0", "Q6_K")
FOUR_BITS = "W4A4"


def environment_of(npu: Npu, soc: str | None, share: Share) -> dict[str, str]:
    """Return the variables for this board and model.

    Args:
        npu: the configuration.
        soc: `rk3588` or `rk3576`; None on any other machine.
        share: of the model's weights.
    """
    device = npu.device or (None if soc is None else soc.upper())
    wanted = {
        "RKNPU_DEVICE": device,
        "RKNPU_CORES": npu.cores,
        "RKNPU_HYBRID": hybrid_of(npu.hybrid, share),
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    return given | (npu.environment or {})


def hybrid_of(configured: str, share: Share) -> str | None:
    """Return how the weights are multiplied; None: as the backend has it."""
    if configured == "none":
        return None
    if configured != "auto":
        return configured
    return RECOMMENDED if any(kind in share.by_kind for kind in OF_FEW_BITS) else None


def is_of_four_bits(kind: str, hybrid: str | None) -> bool:
    """Return whether the NPU multiplies 4 bits by 4 bits; without a mode the backend chooses."""
    return FOUR_BITS in hybrid if hybrid is not None else kind in OF_FEW_BITS


def cleaned(base: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with these variables of the backend and no others."""
    return {name: base[name] for name in base if not name.startswith(PREFIXES)} | dict(wanted)


def put(wanted: Mapping[str, str]) -> None:
    """Set this process's environment; before the library, which reads it at any time, is opened."""
    for name in [name for name in os.environ if name.startswith(PREFIXES)]:
        del os.environ[name]
    os.environ.update(wanted)
