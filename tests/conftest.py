"""How hard properties are tried: a few examples by default, many with `tools/test --slow`.

`tools/test-arm64` takes fewer still, the same ones each time: what it shows is another processor.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A slow machine is no finding.
settings.register_profile(
    "quick",
    max_examples=20,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=300)
settings.register_profile(
    "emulated", settings.get_profile("quick"), max_examples=5, derandomize=True
)
settings.load_profile("quick")
