"""What a person sees of a calibration: a line for each stop, seconds left, a plot at the end.

In:  sights, the plan.     Out: text. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from edged.power.table import Table
from edged.sweep.plan import Plan, Stop
from edged.sweep.sight import Sight

BAR_CHARS = 40
NAME_CHARS = 38


def left(seconds_s: float) -> str:
    """Return a length of time in words, as `9 min 30 s`."""
    minutes, rest_s = divmod(round(seconds_s), 60)
    hours, minutes = divmod(minutes, 60)
    words = f"{hours} h {minutes} min" if hours else f"{minutes} min {rest_s} s"
    return words if hours or minutes else f"{rest_s} s"


def head(plan: Plan, done: int, meter: str) -> str:
    """Return what is going to happen."""
    stops, seconds_s = len(plan.stops), plan.left_s(done)
    begun = f"{done} of {stops} stops are there already; " if done else f"{stops} stops; "
    return (
        f"calibrating against {meter}: {begun}{left(seconds_s)} to go, {plan.dwell_s:.0f} s of "
        "readings at each\nthe budget is not held meanwhile; interrupt with Ctrl-C, the same "
        "command goes on from there"
    )


def under_way(stop: Stop, plan: Plan, done: int) -> str:
    """Return what is measured now."""
    return f"{stop.words:{NAME_CHARS}} ...  {left(plan.left_s(done))} left"


def line(sight: Sight, plan: Plan, done: int) -> str:
    """Return what a stop showed, and how long the others take; `done` holds this one."""
    progress = f"{done:3}/{len(plan.stops)}  {left(plan.left_s(done)):>12} left"
    name = f"{sight.stop.words:{NAME_CHARS}}"
    if sight.skipped:
        return f"{name} skipped: {sight.skipped}  {progress}"
    steps = f"{sight.step_s * 1e3:8.2f} ms/step" if sight.step_s else " " * 16
    return f"{name} {sight.watts_w:7.3f} W +-{sight.error_share:5.1%}{steps}  {progress}"


def plot(table: Table) -> str:
    """Return the watts of all rows as bars: idle, then what the work adds."""
    rows = sorted(table.rows, key=lambda row: (row.phase, row.above_w))
    most_w = table.idle_w + max(row.above_w for row in rows)
    lines = [f"watts at the board's input; . idle ({table.idle_w:.2f} W), # above it"]
    for row in rows:
        idle = round(BAR_CHARS * table.idle_w / most_w)
        work = max(1, round(BAR_CHARS * row.above_w / most_w))
        name = f"{Stop(row.phase, row.clocks).words:{NAME_CHARS}}"
        bar = "." * idle + "#" * work
        lines.append(f"{name} |{bar:{BAR_CHARS + 1}} {table.idle_w + row.above_w:6.2f} W")
    return "\n".join(lines)


def tail(table: Table, refused: str, skipped: Sequence[Sight]) -> str:
    """Return what came of it."""
    lines = [plot(table), "", f"table: {table.sentence}"]
    taught = table.estimate
    if taught.error_share is None:
        lines.append(f"estimate: not calibrated: {refused}")
    else:
        lines.append(
            f"estimate: {taught.offset_w:+.2f} W and {taught.gain:.2f} times what the "
            f"coefficients say, +-{taught.error_share:.0%}"
        )
    if skipped:
        lines.append(f"{len(skipped)} stops were skipped; the points near them stand in")
    return "\n".join(lines)
