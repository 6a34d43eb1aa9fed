"""Whether the configuration, its templates and its budget mean something.

In:  the path of a configuration.     Out: `Settings`, a finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged import config
from edged.config import Config
from edged.doctor.finding import Finding, error, well
from edged.errors import ConfigError
from edged.power.budget import budget_of, checked
from edged.site import site_of
from edged.store.chosen import in_force


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration, or the defaults in its place, and what is wrong with it."""

    config: Config
    origin: str
    problem: str | None = None


def look(path: Path | None) -> Settings:
    """Read the configuration and what it points to."""
    origin = "the defaults" if path is None else str(path)
    try:
        settings = config.load(path)
    except ConfigError as wrong:
        return Settings(Config(), origin, str(wrong))
    try:
        settings = in_force(settings)
        site_of(settings)
        # What edged learns with a meter is not known here, so its absence is no mistake.
        budget = budget_of(settings.power, settings.power.idle_w)
        checked(budget, settings.engine.step_s_max, metered=True)
    except ConfigError as wrong:
        return Settings(settings, origin, str(wrong))
    return Settings(settings, origin)


def judge(settings: Settings) -> Finding:
    """Return whether `edged run` would take it."""
    if settings.problem is None:
        return well("config", f"{settings.origin}: backend {settings.config.engine.backend}")
    says = "; ".join(settings.problem.splitlines())
    return error("config", says, f"edit {settings.origin}, then `edged check {settings.origin}`")
