"""The model that the configured backend would load, if it would: asked without loading it.

In:  the configuration.     Out: `Installed`, or an error that says what to do.
`edged check` and `edged doctor` ask here what the engine asks of its own backend.
"""

from __future__ import annotations

from pathlib import Path

from edged.config import Config
from edged.engine.memory import MEMINFO
from edged.engine.model_check import check_model
from edged.engine.rkllm.model_check import check_rkllm
from edged.engine.rknn.classifier import recipe_of
from edged.models.installed import Installed


def loadable(config: Config, meminfo: Path = MEMINFO) -> Installed:
    """Return the model of a backend that has one: `sim` has none.

    Raises:
        EngineUnusable: it would be refused.
        ConfigError: its format file or model.toml is wrong.
    """
    match config.engine.backend:
        case "rkllm":
            return check_rkllm(config, meminfo)[0]
        case "rknn":
            path = recipe_of(config).model
            return Installed(path.stem, path, None, path, None)
        case _:
            return check_model(config, meminfo).model
