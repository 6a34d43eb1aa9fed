"""Measures what only shows inside a process: `python -m edged.bench.inside ...`.

In:  model, threads, context tokens, sequences, KV tokens.     Out: `Inside` as one line of JSON.
A process of its own: llama.cpp does not come into the benchmark's, and is gone when it is done.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from edged.bench.system import Setting
from edged.errors import EngineUnusable


@dataclass(frozen=True, slots=True)
class Inside:
    """What llama.cpp alone does, and what edged adds.

    Attributes:
        prefill_tokens_per_s, row_s: see rates.
        overhead_share, buffers_bytes: see overhead.
    """

    prefill_tokens_per_s: float
    row_s: float
    overhead_share: float
    buffers_bytes: int


async def measured_inside(setting: Setting) -> Inside:
    """Measure in a process of its own.

    Raises:
        EngineUnusable: it ended badly; its own words stand above.
    """
    numbers = (setting.threads, setting.context_tokens, setting.sequences, setting.kv_tokens)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edged.bench.inside", str(setting.model)),
        *map(str, numbers),
        stdout=subprocess.PIPE,
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise EngineUnusable(f"measuring llama.cpp alone ended with exit {process.returncode}")
    return Inside(**json.loads(said))


def _measure(setting: Setting) -> Inside:
    # llama.cpp's library reads it when it is loaded; here it is to run as in the engine.
    from edged.engine.load import fix_wait_policy

    fix_wait_policy()
    from edged.bench.overhead import measured_overhead
    from edged.bench.rates import measured_rates

    rates, overhead = measured_rates(setting), measured_overhead(setting)
    return Inside(
        **asdict(rates), overhead_share=overhead.share, buffers_bytes=overhead.buffers_bytes
    )


if __name__ == "__main__":
    model, *rest = sys.argv[1:]
    print(json.dumps(asdict(_measure(Setting(Path(model), *map(int, rest))))))
