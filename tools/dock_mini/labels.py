"""The labelling rules of every template, as in the templates' descriptions. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Answer = dict[str, Any]

HIGH_CARTONS = 10
HIGH_ALARM_C = 10
CHILLED_MIN_C = 2
CHILLED_MAX_C = 8
FROZEN_MAX_C = -18
REJECT_MINUTES = 30

_ACTIONS = {
    "arrival": "unload",
    "departure": "close_dock",
    "missing_label": "relabel",
    "damage": "inspect",
    "temperature_alarm": "check_cooler",
}
_HIGH_ACTIONS = {"damage": "quarantine", "temperature_alarm": "move_goods"}


def dock_event(
    event: str,
    *,
    dock: int | None,
    pallet: str | None,
    damaged_cartons: int | None,
    temperature_c: int | None,
    asks_for_a_person: bool,
) -> Answer:
    """The whole event record; `pallet` is the bare digits."""
    severity = event_severity(event, damaged_cartons, temperature_c)
    actions = _ACTIONS | _HIGH_ACTIONS if severity == "high" else _ACTIONS
    return {
        "event": event,
        "dock": dock,
        "pallet": f"P{pallet}" if pallet else None,
        "damaged_cartons": damaged_cartons,
        "temperature_c": temperature_c,
        "severity": severity,
        "action": actions[event],
        "needs_human": severity == "high" or asks_for_a_person,
    }


def event_severity(event: str, damaged_cartons: int | None, temperature_c: int | None) -> str:
    """low, medium or high."""
    if event == "damage":
        return "high" if (damaged_cartons or 0) >= HIGH_CARTONS else "medium"
    if event == "temperature_alarm":
        hot = temperature_c is not None and temperature_c >= HIGH_ALARM_C
        return "high" if hot else "medium"
    return "low"


def cold_chain(load: str, interval_min: int, readings_c: Sequence[int]) -> Answer:
    """The verdict over one series of whole degrees, one per interval."""
    out_of_range = [reading for reading in readings_c if degrees_out(load, reading)]
    minutes_out = len(out_of_range) * interval_min
    verdict = "warning" if minutes_out < REJECT_MINUTES else "reject"
    return {
        "load": load,
        "out_of_range": out_of_range,
        "worst_c": max(out_of_range, key=lambda c: degrees_out(load, c), default=None),
        "minutes_out": minutes_out,
        "verdict": verdict if out_of_range else "ok",
    }


def degrees_out(load: str, reading_c: int) -> int:
    """How far a reading lies outside the load's range, degrees; 0 inside."""
    if load == "chilled":
        return max(CHILLED_MIN_C - reading_c, reading_c - CHILLED_MAX_C, 0)
    return max(reading_c - FROZEN_MAX_C, 0)


def label_read(
    carrier: str | None,
    shipment: str,
    postcode: str | None,
    pieces: int | None,
    weight_kg: int | None,
) -> Answer:
    """The clean fields of a label."""
    return {
        "carrier": carrier,
        "shipment": shipment,
        "postcode": postcode,
        "pieces": pieces,
        "weight_kg": weight_kg,
    }


def maintenance_note(
    asset: str, number: int | None, fault: str, *, out_of_service: bool, hurry: str
) -> Answer:
    """The work order; `hurry` is what the note says about time: urgent, low or normal."""
    return {
        "asset": asset,
        "number": number,
        "fault": fault,
        "out_of_service": out_of_service,
        "urgency": "urgent" if out_of_service else hurry,
    }


def stock_question(asked: str, row: Sequence[Any] | None) -> Answer:
    """The row that answers; None when the table has no such item or bin."""
    item, bin_name, quantity = row if row is not None else (None, None, None)
    return {"asked": asked, "item": item, "bin": bin_name, "quantity": quantity}
