"""A plug on MQTT tells watts, for calibration. Method: payloads as Shelly and Tasmota send them."""

from __future__ import annotations

import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.board.meters.doubt import Doubted
from edged.board.meters.external import (
    PLUG_SHARE,
    ROUNDED_W,
    SUPPLY_EFFICIENCY,
    SUPPLY_SHARE,
    ExternalMeter,
    Plug,
    Told,
    shelly,
    tasmota,
)
from edged.board.meters.fault import MeterFault
from edged.topics import matches
from tests.golden_tree import Ticks

Kind = Literal["shelly", "tasmota"]

SWITCH = {
    "id": 0,
    "source": "init",
    "output": True,
    "apower": 5.2,
    "voltage": 231.4,
    "current": 0.041,
    "aenergy": {"total": 1201.6, "by_minute": [84.1, 0.0, 0.0], "minute_ts": 1763719200},
    "temperature": {"tC": 38.1, "tF": 100.6},
}
RELAY = {"id": 0, "source": "init", "output": True, "temperature": {"tC": 38.1, "tF": 100.6}}
NOTIFY = {
    "src": "shellyplugsg3-0011",
    "dst": "plug/events",
    "method": "NotifyStatus",
    "params": {"ts": 1763719205.32, "switch:0": {"id": 0, "apower": 4.8}},
}
SENSOR = {
    "Time": "2026-11-21T10:00:00",
    "ENERGY": {
        "TotalStartTime": "2026-01-01T00:00:00",
        "Total": 12.301,
        "Yesterday": 0.101,
        "Today": 0.044,
        "Period": 0,
        "Power": 5,
        "ApparentPower": 12,
        "ReactivePower": 11,
        "Factor": 0.42,
        "Voltage": 231,
        "Current": 0.052,
    },
}


@pytest.mark.parametrize(
    ("topic", "payload", "told"),
    [
        ("plug/status/switch:0", SWITCH, 5.2),
        ("plug/status/pm1:0", {"id": 0, "voltage": 231.4, "apower": 3.9}, 3.9),
        ("plug/events/rpc", NOTIFY, 4.8),
        ("plug/events/rpc", {**NOTIFY, "params": {"ts": 1.0, "sys": {}}}, None),
        ("plug/events/rpc", {**NOTIFY, "method": "NotifyEvent"}, None),
        ("plug/status/switch:0", RELAY, "unmetered"),
        ("plug/status/wifi", {"rssi": -60}, None),
    ],
)
def test_a_shelly_tells_its_active_power(topic: str, payload: object, told: Told) -> None:
    assert shelly(topic, json.dumps(payload).encode()) == told


@pytest.mark.parametrize(
    ("topic", "payload", "told"),
    [
        ("tele/plug/SENSOR", SENSOR, 5.0),
        ("stat/plug/STATUS10", {"StatusSNS": SENSOR}, 5.0),
        ("tele/plug/SENSOR", {"Time": "2026-11-21T10:00:00"}, "unmetered"),
        ("tele/plug/SENSOR", {"ENERGY": {"Power": [5, 7]}}, None),
        ("stat/plug/STATUS10", {"Status": {}}, None),
    ],
)
def test_tasmota_tells_its_power(topic: str, payload: object, told: Told) -> None:
    assert tasmota(topic, json.dumps(payload).encode()) == told


@pytest.mark.parametrize(
    ("topic", "payload", "told"),
    [
        ("plug/online", b"true", True),
        ("plug/online", b"false", False),
        ("plug/online", b"", None),
    ],
)
def test_a_shelly_tells_whether_it_is_online(topic: str, payload: bytes, told: Told) -> None:
    assert shelly(topic, payload) is told


@pytest.mark.parametrize(
    ("payload", "told"), [(b"Online", True), (b"Offline", False), (b"gone", None)]
)
def test_tasmota_tells_whether_it_is_online(payload: bytes, told: Told) -> None:
    assert tasmota("tele/plug/LWT", payload) is told


@given(
    st.binary() | st.from_regex(r'\{"(apower|ENERGY|params)": [\[\]{}0-9",:a-z]*\}').map(str.encode)
)
def test_no_payload_breaks_the_reader(payload: bytes) -> None:
    for topic in ("p/status/switch:0", "p/events/rpc", "p/online"):
        shelly(topic, payload)
    for topic in ("tele/p/SENSOR", "stat/p/STATUS10", "tele/p/LWT"):
        tasmota(topic, payload)


def test_a_number_of_five_thousand_digits_is_no_error() -> None:
    assert shelly("p/status/switch:0", b'{"apower": ' + b"9" * 5000 + b"}") == float("inf")


@pytest.mark.parametrize(
    ("kind", "topics"),
    [
        ("shelly", ["shop/plug/status/switch:0", "shop/plug/events/rpc", "shop/plug/online"]),
        ("tasmota", ["tele/shop/plug/SENSOR", "stat/shop/plug/STATUS10", "tele/shop/plug/LWT"]),
    ],
)
def test_what_the_plug_sends_is_subscribed(kind: Kind, topics: list[str]) -> None:
    filters = Plug(kind, "shop/plug").filters
    assert all(any(matches(one, topic) for one in filters) for topic in topics)


def test_watts_of_the_wall_are_less_at_the_board() -> None:
    reading = told_meter(Plug("tasmota", "plug")).read()
    assert reading.watts_w == pytest.approx(5 * SUPPLY_EFFICIENCY)
    assert reading.error_share == pytest.approx(PLUG_SHARE + SUPPLY_SHARE + ROUNDED_W / 5)


def test_watts_with_decimals_are_not_rounded_by_half_a_watt() -> None:
    meter = ExternalMeter(Plug("shelly", "plug", "board_input"))
    meter.take("plug/status/switch:0", json.dumps(SWITCH).encode())
    assert meter.read().error_share == PLUG_SHARE


def test_watts_after_the_supply_are_the_boards() -> None:
    reading = told_meter(Plug("tasmota", "plug", "board_input")).read()
    assert (reading.watts_w, reading.error_share) == (5.0, PLUG_SHARE + ROUNDED_W / 5)


def test_a_reading_is_as_old_as_its_message() -> None:
    clock = Ticks()
    meter = told_meter(Plug("tasmota", "plug"), clock)
    told_s = clock.now_s
    clock.step(60)
    assert meter.read().at_s == told_s


def test_a_plug_that_told_nothing_yet_is_stale() -> None:
    assert fault_of(ExternalMeter(Plug("shelly", "plug"))) == "stale"


def test_a_plug_that_went_offline_is_gone_until_it_tells_again() -> None:
    meter = told_meter(Plug("tasmota", "plug"))
    meter.take("tele/plug/LWT", b"Offline")
    assert fault_of(meter) == "gone"
    meter.take("tele/plug/LWT", b"Online")
    assert fault_of(meter) == "gone"
    meter.take("tele/plug/SENSOR", json.dumps(SENSOR).encode())
    assert meter.read().watts_w > 0


def test_a_relay_that_cannot_measure_is_told_from_a_board_that_is_off() -> None:
    meter = ExternalMeter(Plug("shelly", "plug"))
    meter.take("plug/status/switch:0", json.dumps(RELAY).encode())
    assert fault_of(meter) == "unmetered"


def test_the_brokers_old_copy_tells_no_watts() -> None:
    meter = ExternalMeter(Plug("shelly", "plug"))
    meter.take("plug/status/switch:0", json.dumps(SWITCH).encode(), is_retained=True)
    assert fault_of(meter) == "stale"


@pytest.mark.parametrize(("power_w", "fault"), [(0, "zero"), (8000, "spike")])
def test_a_plug_that_cannot_see_so_small_a_load_is_not_believed(power_w: int, fault: str) -> None:
    plug = Plug("tasmota", "plug")
    meter = ExternalMeter(plug)
    payload = {"ENERGY": {"Power": power_w}}
    meter.take("tele/plug/SENSOR", json.dumps(payload).encode())
    assert fault_of(Doubted(meter, plug.bounds)) == fault


def test_a_plug_that_rounds_to_a_watt_is_not_stuck() -> None:
    plug, clock = Plug("tasmota", "plug"), Ticks()
    meter = ExternalMeter(plug, clock)
    doubted = Doubted(meter, plug.bounds, clock)
    for _ in range(20):
        meter.take("tele/plug/SENSOR", json.dumps(SENSOR).encode())
        clock.step(plug.period_s)
        assert doubted.read().watts_w > 0


def test_a_plug_that_fell_silent_is_stale() -> None:
    plug, clock = Plug("tasmota", "plug"), Ticks()
    doubted = Doubted(told_meter(plug, clock), plug.bounds, clock)
    clock.step(3 * plug.period_s + 1)
    assert fault_of(doubted) == "stale"


def told_meter(plug: Plug, clock: Ticks | None = None) -> ExternalMeter:
    meter = ExternalMeter(plug, clock or Ticks())
    meter.take("tele/plug/SENSOR", json.dumps(SENSOR).encode())
    return meter


def fault_of(meter: ExternalMeter | Doubted) -> str:
    with pytest.raises(MeterFault) as caught:
        meter.read()
    return caught.value.fault
