"""How hard properties are tried: a few examples by default, many with `tools/test --slow`."""

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
settings.load_profile("quick")
