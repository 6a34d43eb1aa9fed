"""What was found, as figures, and what each of them should reach.

In:  measurements of rates, upkeep, latency, share, hangs.     Out: the JSON object; judged lines.
Pure. A figure that was not measured is None.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edged.bench.delivery.hang import Hung, ended_s_max
from edged.bench.delivery.latency import Latency
from edged.bench.delivery.rates import Flooded, Pair
from edged.bench.delivery.share import Shared
from edged.bench.delivery.upkeep import Idle, Recovered, Written


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """One repetition on a disk whose syncs take longer: floods without and with it, a burst."""

    quick: Flooded
    slow: Flooded
    burst_s: float

    @property
    def engine_rate_loss(self) -> float:
        """Share of the answers that the slow disk cost."""
        return 1 - self.slow.answers / self.quick.answers


@dataclass(slots=True)
class Found:
    """All measurements; empty or None where one was not made."""

    pairs: Sequence[Pair] = ()
    slow_disk: Sequence[SlowDisk] = ()
    latency: Latency | None = None
    shared: Sequence[Shared] = ()
    recovered: Sequence[Recovered] = ()
    written: Written | None = None
    idle: Idle | None = None
    hung: Sequence[Hung] = ()
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Line:
    """One figure, for people.

    Attributes:
        reach: what it should be, in words.
        is_met: whether it is; None where nothing is asked of it.
    """

    name: str
    measured: str
    reach: str = ""
    is_met: bool | None = None


def figures(found: Found) -> dict[str, Any]:
    """Return the JSON object."""
    slow, written, idle = found.slow_disk, found.written, found.idle
    return {
        "accepts_per_s": _median([one.accepts_per_s for one in found.pairs], 1),
        "accepts_share_of_raw": _median([one.share for one in found.pairs], 4),
        "slow_disk": {
            "accepts_per_s": _median([one.slow.accepts_per_s for one in slow], 1),
            "burst_1000_s": _median([one.burst_s for one in slow], 3),
            "engine_rate_loss": _median([one.engine_rate_loss for one in slow], 4),
        },
        "accept_median_ratio_100k": None
        if found.latency is None
        else round(found.latency.ratio, 3),
        "e2e_share": _median([one.share for one in found.shared], 4),
        "recovery_s": _median([one.took_s for one in found.recovered], 3),
        "bytes_per_prompt": None if written is None else round(written.accepted),
        "idle_wakeups_per_s": None if idle is None else round(idle.wakeups_per_s, 3),
        "idle_cpu_share": None if idle is None else round(idle.cpu_share, 5),
    }


def lines(found: Found) -> list[Line]:
    """Return what was measured, each figure beside what it should reach."""
    return [
        *_rate_lines(found.pairs),
        *_slow_lines(found.slow_disk),
        *_latency_lines(found.latency),
        *_share_lines(found.shared),
        *_recovery_lines(found.recovered),
        *_written_lines(found.written),
        *_idle_lines(found.idle),
        *_hang_lines(found.hung),
    ]


def _rate_lines(pairs: Sequence[Pair]) -> list[Line]:
    if not pairs:
        return []
    shares = [one.share for one in pairs]
    return [
        Line("durable accepts/s", _spread([one.accepts_per_s for one in pairs], 0)),
        Line("plain paho, messages/s", _spread([one.raw_per_s for one in pairs], 0)),
        Line("processor time of an accept", _micro([one.accept_cpu_s for one in pairs])),
        Line("processor time of a message, plain paho", _micro([one.raw_cpu_s for one in pairs])),
        Line(
            "accepts, share of plain paho",
            _spread(shares, 3),
            ">= 0.25",
            statistics.median(shares) >= 0.25,
        ),
    ]


def _slow_lines(slow: Sequence[SlowDisk]) -> list[Line]:
    if not slow:
        return []
    rates = [one.slow.accepts_per_s for one in slow]
    bursts = [one.burst_s for one in slow]
    losses = [one.engine_rate_loss for one in slow]
    place = "10 ms more for each sync, engine at work"
    return [
        Line(
            f"accepts/s, {place}", _spread(rates, 0), ">= 1,000", statistics.median(rates) >= 1000
        ),
        Line(
            f"burst of 1,000, {place}",
            _spread(bursts, 2, " s"),
            "<= 2 s",
            statistics.median(bursts) <= 2,
        ),
        Line(
            f"answers lost, {place}",
            _spread(losses, 3),
            "<= 0.10",
            statistics.median(losses) <= 0.1,
        ),
    ]


def _latency_lines(found: Latency | None) -> list[Line]:
    if found is None:
        return []
    return [
        Line("publish to `accepted`, empty spool", f"{found.empty_s * 1000:.2f} ms"),
        Line("publish to `accepted`, 100,000 rows", f"{found.full_s * 1000:.2f} ms"),
        Line("the ratio of the two", f"{found.ratio:.2f}", "<= 1.5", found.ratio <= 1.5),
    ]


def _share_lines(shared: Sequence[Shared]) -> list[Line]:
    if not shared:
        return []
    shares = [one.share for one in shared]
    return [
        Line(
            "answers/s through MQTT, 16 in flight", _spread([one.mqtt_per_s for one in shared], 2)
        ),
        Line(
            "answers/s, the engine asked directly", _spread([one.direct_per_s for one in shared], 2)
        ),
        Line(
            "share that arrives", _spread(shares, 3), ">= 0.95", statistics.median(shares) >= 0.95
        ),
    ]


def _recovery_lines(recovered: Sequence[Recovered]) -> list[Line]:
    if not recovered:
        return []
    name = "kill -9 with 10,000 prompts waiting: start to `online`"
    took_s = [one.took_s for one in recovered]
    cpu = _spread([one.cpu_s for one in recovered], 2, " s")
    return [
        Line(name, _spread(took_s, 2, " s"), "<= 1 s", statistics.median(took_s) <= 1),
        Line("processor time of that start", cpu),
    ]


def _written_lines(found: Written | None) -> list[Line]:
    if found is None:
        return []
    reach = f"<= {found.bound:,.0f} (3 rows and a page)"
    return [
        Line("row of a waiting prompt", f"{found.row:,.0f} bytes"),
        Line(
            "written per prompt, burst of 1,000, until accepted",
            f"{found.accepted:,.0f} bytes",
            reach,
            found.accepted <= found.bound,
        ),
        Line(
            "written per short prompt, burst of 1,000, to the last delivery",
            f"{found.answered:,.0f} bytes",
        ),
        Line("written per short prompt, one by one", f"{found.single:,.0f} bytes"),
    ]


def _idle_lines(found: Idle | None) -> list[Line]:
    if found is None:
        return []
    wakeups, cpu = found.wakeups_per_s, found.cpu_share
    return [
        Line("idle: wakeups/s, daemon and engine", f"{wakeups:.2f}", "<= 2", wakeups <= 2),
        Line("idle: share of a core, both", f"{cpu:.4f}", "< 0.003", cpu < 0.003),
    ]


def _hang_lines(hung: Sequence[Hung]) -> list[Line]:
    if not hung:
        return []
    ended, ready = [one.ended_s for one in hung], [one.ready_s for one in hung]
    most_s, start_s = ended_s_max(), statistics.median(one.started_s for one in hung)
    reach = f"<= {start_s:.2f} s (a board's start)"
    return [
        Line(
            "a hung engine: until it is ended",
            _spread(ended, 2, " s"),
            f"<= {most_s:.1f} s (5 s, a step, 1 s)",
            max(ended) <= most_s,
        ),
        Line(
            "from there until the next is ready",
            _spread(ready, 2, " s"),
            reach,
            statistics.median(ready) <= start_s,
        ),
    ]


def _median(values: Sequence[float], digits: int) -> float | None:
    return round(statistics.median(values), digits) if values else None


def _micro(values_s: Sequence[float]) -> str:
    return _spread([value_s * 1e6 for value_s in values_s], 0, " us")


def _spread(values: Sequence[float], digits: int, unit: str = "") -> str:
    middle = f"{statistics.median(values):,.{digits}f}{unit}"
    if len(values) < 2:
        return middle
    return f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
