"""`edged check`: whether a configuration would run, without running it.

In:  the path of a configuration.     Out: findings; the first thing that is wrong is raised.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from edged import config
from edged.access import access_warnings
from edged.engine.ggml.sidecar import check_library
from edged.engine.loadable import loadable
from edged.engine.processor import check_processor
from edged.models.installed import Installed
from edged.orders.budgets import check_schedule
from edged.power.kept import FILE, Kept
from edged.power.outfit import Parts, outfit, parts_here
from edged.site import site_of
from edged.store.chosen import in_force


@dataclass(frozen=True, slots=True)
class Findings:
    """What a good configuration means on this machine."""

    file: str
    board: str
    broker: str
    model: str
    model_bytes: int
    templates: tuple[str, ...]
    state_dir: str
    power: str
    meter: str
    calibration: str
    warnings: tuple[str, ...] = ()

    def as_json(self) -> str:
        """Return the findings for a machine."""
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        """Return the findings for a person."""
        rows = asdict(self) | {"templates": ", ".join(self.templates) or "none"}
        del rows["warnings"]
        lines = [f"{name:12} {value}" for name, value in rows.items()]
        return "\n".join([*lines, *(f"warning      {one}" for one in self.warnings), "ok"])


def check(path: Path) -> Findings:
    """Return what the configuration means.

    Raises:
        ConfigError: names file, key, value and allowed range; or the template file.
        EngineUnusable: the model is missing, broken or too large for the memory, or llama.cpp was
            compiled for another processor.
    """
    settings = in_force(config.load(path))
    site = site_of(settings)
    if settings.engine.backend == "sim":
        name, size_bytes = "sim (simulated, no model)", 0
    else:
        model = _checked_model(settings).path
        name, size_bytes = f"{model.stem} ({model})", model.stat().st_size
    parts = parts_here(settings, time.monotonic)
    return Findings(
        file=str(path),
        board=site.topics.board,
        broker=settings.broker.where,
        model=name,
        model_bytes=size_bytes,
        templates=tuple(site.templates),
        state_dir=str(settings.state_dir),
        power=_power(settings, parts),
        meter=parts.told.meter,
        calibration=parts.told.calibration_warning or parts.told.calibration or "none",
        warnings=tuple(access_warnings(settings.broker, time.time())),
    )


def _checked_model(settings: config.Config) -> Installed:
    """Return the model that the configured backend would load.

    Raises:
        ConfigError: its format file is wrong.
        EngineUnusable: it would be refused, or what would load it cannot run here.
    """
    if settings.engine.backend == "llama":
        check_processor()
        if settings.npu.library is not None:
            check_library(settings.npu.library)
    return loadable(settings)


def _power(settings: config.Config, parts: Parts) -> str:
    """Return the budget and whether it would be held, in words.

    Raises:
        ConfigError: the budget means nothing on this machine.
    """
    kept = Kept(settings.state_dir / FILE, is_read_only=True)
    board = outfit(settings, parts, kept, time.monotonic)
    check_schedule(settings, board.budget.idle_w, metered=parts.meter is not None)
    law, limits = board.law, board.law.limits
    held = "held" if law.settings.enforce else law.settings.why_off
    return (
        f"{limits.mean_w:g} W over {limits.window_s:g} s, {limits.peak_w:g} W over "
        f"{limits.peak_window_s:g} s: {held}"
    )
