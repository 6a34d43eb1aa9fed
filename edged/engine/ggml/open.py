"""Opens the NPU's backend before the model: environment, trial, library, device.

In:  the configuration, the model's header.     Out: `Npu`.
The order matters: the backend reads its environment when its device is first opened, and packs the
weights for that device while the model is loaded.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from edged.board.domains import soc_of
from edged.config import Config
from edged.engine.ggml.environment import environment_of, put
from edged.engine.ggml.matmul import TYPES
from edged.engine.ggml.proof import prove
from edged.engine.ggml.registry import Counts, Device, ggml, open_library
from edged.engine.ggml.share import NPU_BYTES, is_taken, share_of
from edged.engine.ggml.sidecar import check_library
from edged.engine.gguf_file import GgufHeader
from edged.engine.threads import fast_cores
from edged.errors import EngineUnusable

log = logging.getLogger(__name__)

SYS = Path("/sys")


@dataclass(frozen=True, slots=True)
class Npu:
    """An opened device.

    Attributes:
        weights_share: part of the model's weights that such a backend takes, 0..1.
    """

    device: Device
    weights_share: float

    @property
    def name(self) -> str:
        """Return the device's name."""
        return self.device.name

    @property
    def is_host(self) -> bool:
        """Return whether its weights lie where the CPU's do."""
        return self.device.is_host

    def counts(self) -> Counts:
        """Return what the device has executed in this process."""
        return self.device.counts()


def open_npu(config: Config, header: GgufHeader, sys: Path = SYS) -> Npu | None:
    """Return the NPU that the model is to be computed on; None: none is configured.

    Raises:
        EngineUnusable: the library is another ggml's, or its device fails its trial.
    """
    library = config.npu.library
    if library is None:
        return None
    check_library(library)
    share = share_of(header.tensors)
    soc = soc_of(sys)
    environment = environment_of(config.npu, None if soc is None else soc.name, share)
    prove(library, _tried_kind(header), environment)
    put(environment)
    device = open_library(library)
    _settle(device)
    _keep_to_fast_cores()
    taken = 100 * share.npu_share
    log.info("%s takes some %.0f %% of the weights, the CPU the others", device.name, taken)
    left = sorted(set(share.by_kind) - set(NPU_BYTES))
    if left:
        log.warning("weights of %s stay on the CPU: the NPU has no place for them", ", ".join(left))
    return Npu(device, share.npu_share)


def _tried_kind(header: GgufHeader) -> str:
    """Return the type of most of the weights that the NPU takes; of all, where it takes none.

    Some trees take more types than others: the trial tells.
    """
    matrices = [one for one in header.tensors if len(one.shape) == 2 and one.kind in TYPES]
    weights: Counter[str] = Counter()
    for one in [one for one in matrices if is_taken(one)] or matrices:
        weights[one.kind] += one.weights
    if not weights:
        raise EngineUnusable(
            "the model has no matrices of a type that an NPU could take; unset npu.library: the "
            "CPU computes then"
        )
    return weights.most_common(1)[0][0]


def _settle(device: Device) -> None:
    """Have the backend choose its SoC now: it packs weights for the one chosen at that time.

    Source: ggml-rknpu2.cpp of rk-llama.cpp: RKNPU_DEVICE is read when a device is opened, which
    llama.cpp does behind the load.
    """
    backend = device.init()
    if not backend:
        raise EngineUnusable(
            f"the NPU's backend does not open {device.name}; does it know this SoC (npu.device)?"
        )
    ggml().backend_free(backend)


def _keep_to_fast_cores() -> None:
    """Keep this thread, and the compute threads that it will start, on the fast cores.

    Source: rk-llama.cpp's wiki and read-me: cores of two speeds cost up to 56 %; four Cortex-A76
    alone gain 13 % in decode and 19 % in prefill (published).
    """
    cores = set(fast_cores())
    if cores == os.sched_getaffinity(0):
        return
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        log.warning("the compute threads are not kept on the fast cores: %s", error)
