"""What a calibration has seen so far, so that it goes on where it was interrupted.

In:  sights, as they come.     Out: a JSON file in the state directory, whole or not there; gone
when the table is written. Blocking.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from edged.errors import ConfigError
from edged.power.table import Key, keep
from edged.sweep.plan import Plan
from edged.sweep.sight import Sight

FILE = "power_table.part"


@dataclass(frozen=True, slots=True)
class Notes:
    """A calibration under way.

    Attributes:
        model: digest of the one that is resident; another one has other seconds.
        sights: of the first stops of the plan, in its order.
    """

    key: Key
    model: str
    plan: Plan
    sights: tuple[Sight, ...] = ()


_FORM = TypeAdapter(Notes)


def save(path: Path, notes: Notes) -> None:
    """Keep what was seen.

    Raises:
        ConfigError: the state directory cannot be written.
    """
    keep(path, _FORM.dump_json(notes))


def resumed(path: Path, fresh: Notes) -> Notes:
    """Return the calibration in `path` if it is this very one, else the fresh one."""
    try:
        found = _FORM.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return fresh
    is_same = (found.key, found.model, found.plan) == (fresh.key, fresh.model, fresh.plan)
    in_order = [sight.stop for sight in found.sights] == list(fresh.plan.stops[: len(found.sights)])
    return found if is_same and in_order else fresh


def forget(path: Path) -> None:
    """Remove what was seen.

    Raises:
        ConfigError: the state directory cannot be written.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: remove it by hand") from error
