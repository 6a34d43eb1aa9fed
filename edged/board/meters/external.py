"""A plug or a metering relay that tells its watts over MQTT: Shelly (Gen2 and later), Tasmota.

In:  its messages, as the MQTT session brings them.     Out: readings, for calibration only.
Such a meter is up to five minutes late, rounds to a watt, and often shows 0 for a load of 4 W, so
it is never what the budget is held by. A meter in the mains also sees the supply's own loss.
Does not know: the connection. Whoever has it subscribes to `filters` and calls `take`.
Source: Shelly API docs, Gen2 components Switch and PM1; Tasmota docs, MQTT and Status 10.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edged.board.meter import Reading
from edged.board.meters.doubt import Bounds
from edged.board.meters.fault import MeterFault

# Tells: `watts`, whether it is `online`, or that it is a relay that cannot measure.
Told = float | bool | Literal["unmetered"] | None
# A plug's own error, our choice; the supply's efficiency at 5 W is 0.80 to 0.85 (a rule).
PLUG_SHARE = 0.05
# Source: Tasmota's WattRes, 0 decimals by default: a whole number may be off by half of one.
ROUNDED_W = 0.5
SUPPLY_EFFICIENCY, SUPPLY_SHARE = 0.825, 0.03


@dataclass(frozen=True, slots=True)
class Plug:
    """Which plug, and where it sits.

    Attributes:
        kind: whose payloads it sends.
        topic: Shelly's prefix, Tasmota's topic.
        boundary: `board_input` is after the supply, `wall` before it.
        period_s: how often it tells; Tasmota's TelePeriod is 300 s by default.
    """

    kind: Literal["shelly", "tasmota"]
    topic: str
    boundary: Literal["board_input", "wall"] = "wall"
    period_s: float = 300.0

    @property
    def filters(self) -> tuple[str, ...]:
        """Return what to subscribe to."""
        ends = {
            "shelly": ("{}/status/+", "{}/events/rpc", "{}/online"),
            "tasmota": ("tele/{}/SENSOR", "stat/{}/STATUS10", "tele/{}/LWT"),
        }
        return tuple(end.format(self.topic) for end in ends[self.kind])

    @property
    def bounds(self) -> Bounds:
        """Return what to believe; watts rounded to 1 W may stay the same for ever."""
        return Bounds(stuck_s=math.inf, stale_s=2.0 * self.period_s)


class ExternalMeter:
    """The last word of one plug."""

    def __init__(self, plug: Plug, clock: Callable[[], float] = time.monotonic) -> None:
        self._plug = plug
        self._name = f"{plug.kind} {plug.topic}"
        self._clock = clock
        self._fault: MeterFault | None = MeterFault("stale", f"{self._name} has told nothing yet")
        self._watts_w = 0.0
        self._at_s = clock()

    def take(self, topic: str, payload: bytes, *, is_retained: bool = False) -> None:
        """Take a message. The broker's retained copy may be of any age: it tells no watts."""
        told = shelly(topic, payload) if self._plug.kind == "shelly" else tasmota(topic, payload)
        if told is False:
            self._fault = MeterFault("gone", f"{self._name} is offline")
        elif told == "unmetered":
            self._fault = MeterFault("unmetered", f"{self._name} switches, but does not measure")
        elif isinstance(told, float) and not is_retained:
            self._watts_w, self._at_s, self._fault = told, self._clock(), None

    def read(self) -> Reading:
        """Return the last watts, at the board's input; they may be `period_s` old.

        Raises:
            MeterFault: `stale`, `gone` or `unmetered`.
        """
        if self._fault is not None:
            # A raised error keeps its traceback: each reading gets its own.
            raise MeterFault(self._fault.fault, self._fault.why)
        at_wall = self._plug.boundary == "wall"
        watts_w = self._watts_w * (SUPPLY_EFFICIENCY if at_wall else 1.0)
        share = PLUG_SHARE + (SUPPLY_SHARE if at_wall else 0.0)
        if self._watts_w > 0 and self._watts_w.is_integer():
            share += ROUNDED_W / self._watts_w
        return Reading(watts_w, self._at_s, self._plug.period_s, share, self._name)


def shelly(topic: str, payload: bytes) -> Told:
    """Return what a Shelly tells.

    `<prefix>/status/switch:0` is a whole status, `<prefix>/events/rpc` only what changed, so that
    a missing `apower` means a relay without a meter in the first and nothing in the second.
    """
    last = topic.rpartition("/")[2]
    if last == "online":
        return {b"true": True, b"false": False}.get(payload)
    told = _object(payload)
    if last == "rpc":
        changed = _object_of(told, "params") if told.get("method") == "NotifyStatus" else {}
        parts = [_object_of(changed, name) for name in changed if _is_metering(name)]
        return next(
            (watts for part in parts if (watts := _number(part, "apower")) is not None), None
        )
    if not _is_metering(last) or not told:
        return None
    watts_w = _number(told, "apower")
    return "unmetered" if watts_w is None else watts_w


def tasmota(topic: str, payload: bytes) -> Told:
    """Return what a Tasmota device tells, by itself or as the answer to `Status 10`."""
    last = topic.rpartition("/")[2]
    if last == "LWT":
        return {b"Online": True, b"Offline": False}.get(payload)
    told = _object(payload)
    sensors = _object_of(told, "StatusSNS") if last == "STATUS10" else told
    if not sensors:
        return None
    if "ENERGY" not in sensors:
        return "unmetered"
    return _number(_object_of(sensors, "ENERGY"), "Power")


def _is_metering(component: str) -> bool:
    return component.startswith(("switch:", "pm1:"))


def _object(payload: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(payload, parse_int=float)  # 400 digits are inf, no error
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _object_of(told: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = told.get(key)
    return found if isinstance(found, dict) else {}


def _number(told: Mapping[str, Any], key: str) -> float | None:
    found = told.get(key)
    return found if isinstance(found, float) else None
