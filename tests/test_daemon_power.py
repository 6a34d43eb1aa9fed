"""The power budget as devices and people meet it: a real daemon on the virtual board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.__main__ import main
from edged.board.soc import SOCS, operating_points
from edged.power.table import FILE as TABLE_FILE
from edged.power.table import Key, Row, Table, save
from edged.sweep.plan import PHASES
from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.daemon_fixtures import (
    BOARD,
    OUTCOMES,
    Asker,
    Daemon,
    long_answer,
    state_of,
    wait_until,
)
from tests.golden_tree import metered
from tests.inotify import Listener, looks

pytestmark = pytest.mark.broker

VIRTUAL = {"engine": {"virtual_board": "rk3588"}}
PROMPT = {"prompt": "truck at door 4", "schema": long_answer(30)}


def virtual(place: Path, broker: Mosquitto, **power: Any) -> Daemon:
    """Return a daemon of its own on the virtual board."""
    return Daemon(place, broker, sections=VIRTUAL | {"power": power})


def power_state(broker: Mosquitto, wanted: str) -> dict[str, Any]:
    """Return the first power state, retained or later, whose source is the one wanted."""
    with Asker(broker) as device:
        device.subscribe(f"{BOARD}/state")
        said = device.next(lambda reply: reply["power"]["source"] == wanted)
    power: dict[str, Any] = said["power"]
    return power


@pytest.mark.slow
def test_the_virtual_board_is_held_and_says_that_it_is_simulated(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with virtual(tmp_path / "d", broker) as daemon, Asker(broker) as device:
        daemon.wait_for_log("connected to the broker")
        device.listen()
        for number in range(8):
            device.ask(PROMPT, f"p-{number}")
        replies = [device.outcome(f"p-{number}") for number in range(8)]
        state = power_state(broker, "simulated")
    assert {reply["event"] for reply in replies} == {"done"}
    assert all(reply["energy"]["j"] > 0 for reply in replies)
    assert state["state"] in ("ok", "throttled")
    assert (state["limit_w"], state["peak_w"]) == (4.0, 4.8)
    assert state["mean_w"] < 4.1


@pytest.mark.slow
def test_a_prompt_that_cannot_be_in_time_is_refused_with_seconds_and_joules_or_waits(
    broker: Mosquitto, tmp_path: Path
) -> None:
    late = {"prompt": "truck", "schema": long_answer(800), "ttl_s": 2}
    with virtual(tmp_path / "d", broker) as daemon, Asker(broker) as device:
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        device.listen()
        for number in range(3):  # so that the board has learned its pace
            device.ask(PROMPT, f"taught-{number}")
            device.outcome(f"taught-{number}")
        device.ask(late | {"on_long": "refuse"}, "refused")
        refused = device.next(lambda reply: reply["id"] == "refused")
        device.ask(late | {"on_long": "wait", "receipt": True}, "waits")
        accepted = device.next(lambda reply: reply["id"] == "waits")
    assert (refused["event"], refused["reason"]) == ("refused", "too_long")
    assert " J, " in refused["detail"]
    assert accepted["event"] == "accepted"
    assert accepted["estimated_s"] > 2


@pytest.mark.slow
def test_a_budget_that_nothing_fits_into_refuses_prompts_and_says_what_to_switch_off(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with virtual(tmp_path / "d", broker, budget_w=1.0) as daemon, Asker(broker) as device:
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.ask(PROMPT, "p")
        reply = device.next()
        state = power_state(broker, "simulated")
    assert (reply["event"], reply["status"], reply["reason"]) == ("refused", 503, "over_budget")
    assert "switch off" in reply["detail"]
    assert reply["retry_after_s"] > 0
    assert state["state"] == "infeasible"


def test_the_books_hold_what_all_replies_told_also_expired_and_cancelled_ones(
    broker: Mosquitto, tmp_path: Path
) -> None:
    endless = {"prompt": "x", "schema": long_answer(7000)}
    sections = {"model": {"context_tokens": 8192}}
    with Daemon(tmp_path / "d", broker, sections=sections) as daemon, Asker(broker) as device:
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.ask(PROMPT, "done")
        device.ask(endless | {"ttl_s": 2}, "expired")
        device.ask(endless | {"stream": True}, "cancelled")
        device.next(lambda reply: reply["event"] == "chunk")
        device.cancel("cancelled")
        replies = [device.next(lambda reply: reply["event"] in OUTCOMES) for _ in range(3)]
        wanted = {"cancelled": 1, "done": 1, "expired": 1}
        wait_until(lambda: state_of(daemon)["outcomes"] == wanted, "three outcomes in the state")
        power = state_of(daemon)["power"]
    told_j = sum(reply["energy"]["j"] for reply in replies)
    parts = ("outcomes_j", "overhead_j", "idle_j", "unmetered_j")
    assert power["outcomes_j"] == pytest.approx(told_j, abs=0.06)
    assert power["counter_j"] == pytest.approx(sum(power[part] for part in parts), abs=0.3)
    assert power["idle_j"] > 0


def test_the_books_go_on_after_a_kill(broker: Mosquitto, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "d", broker)
    with daemon, Asker(broker) as device:
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.ask(PROMPT, "p")
        told_j = device.outcome("p")["energy"]["j"]
        daemon.kill()
        daemon.start()
        device.subscribe(f"{BOARD}/state")
        state = device.next(lambda reply: reply.get("boot") == 2)
    assert state["power"]["outcomes_j"] == pytest.approx(told_j, abs=0.1)
    assert state["power"]["unmetered_j"] > 0


def test_a_broken_file_of_what_was_learned_is_moved_aside_and_said(
    broker: Mosquitto, tmp_path: Path
) -> None:
    place = tmp_path / "d"
    place.mkdir()
    (place / "power.json").write_text("{")
    with virtual(place, broker) as daemon:
        daemon.wait_for_log("moved to")
    assert (place / "power.broken").read_text() == "{"


@pytest.mark.model
def test_a_real_engine_is_held_by_the_chip_of_the_tree_and_its_clocks_come_back_at_the_end(
    broker: Mosquitto, tmp_path: Path
) -> None:
    root = metered(tmp_path / "sys", "orangepi_5")
    cap = root / "devices/system/cpu/cpufreq/policy4/scaling_max_freq"
    sections = {"power": {"sysfs": str(root), "budget_w": 2.8}}
    with Daemon(tmp_path / "d", broker, backend="llama", sections=sections) as daemon:
        daemon.wait_for_log("meter: ina226@1-0040: the only power chip here")
        daemon.wait_for_log("is resident")
        wait_until(lambda: state_of(daemon)["power"]["source"] == "metered", "a reading")
        state = state_of(daemon)["power"]
        wait_until(lambda: cap.read_text() != "2400000\n", "a capped clock")
        daemon.kill()
        capped, saved = cap.read_text(), (tmp_path / "d/clocks.json").read_text()
        daemon.start()
        wait_until(lambda: daemon.log.read_text().count("is resident") == 2, "the same engine")
        assert '"devices/system/cpu/cpufreq/policy4/scaling_max_freq": 2400000' in saved
        assert daemon.stop() == 0
    assert state["meter"].startswith("ina226@1-0040: ")
    assert (state["meter_fault"], state["clocks"]) == (None, {})
    assert capped != "2400000\n"
    assert cap.read_text() == "2400000\n"


def test_a_calibration_of_another_kernel_is_a_warning_in_state(
    broker: Mosquitto, tmp_path: Path
) -> None:
    place = tmp_path / "d"
    place.mkdir()
    clocks = operating_points(SOCS["rk3588"], frozenset())[0].clocks
    rows = tuple(Row(phase, clocks, 2.5, 0.02, 4.0, 0.05) for phase in PHASES)
    key = Key("virtual rk3588", "5.10.110", "ina226")
    save(place / TABLE_FILE, Table(key, "2026-11-21 10:00", "dock-mini", 1.4, 0.02, rows))
    with virtual(place, broker) as daemon:
        daemon.wait_for_log("under kernel 5.10.110")
        state = power_state(broker, "simulated")
    assert state["calibration"] is None
    assert "under kernel 5.10.110" in state["calibration_warning"]
    assert "run `edged calibrate` again" in state["calibration_warning"]


@pytest.mark.model
def test_a_killed_engine_gives_its_clocks_back_and_the_next_one_is_capped_again(
    broker: Mosquitto, tmp_path: Path
) -> None:
    root = metered(tmp_path / "sys", "orangepi_5")
    cap = root / "devices/system/cpu/cpufreq/policy4/scaling_max_freq"
    sections = {"power": {"sysfs": str(root), "budget_w": 2.8}}
    with Daemon(tmp_path / "d", broker, backend="llama", sections=sections) as daemon:
        wait_until(lambda: cap.read_text() not in ("", "2400000\n"), "a capped clock")
        assert daemon.kill_engine()
        wait_until(lambda: cap.read_text() == "2400000\n", "the clock from before")
        wait_until(lambda: daemon.log.read_text().count("is resident") == 2, "another engine")
        wait_until(lambda: cap.read_text() not in ("", "2400000\n"), "a capped clock again")


@pytest.mark.slow
@pytest.mark.model
def test_a_daemon_without_prompts_looks_once_a_second_and_soon_not_at_all(
    broker: Mosquitto, tmp_path: Path
) -> None:
    root = metered(tmp_path / "sys", "orangepi_5")
    folders = [folder for folder in (root, *root.rglob("*")) if folder.is_dir()]
    sections = {"power": {"sysfs": str(root)}}
    with (
        Daemon(tmp_path / "d", broker, backend="llama", sections=sections) as daemon,
        Asker(broker) as device,
        Listener(folders) as listener,
    ):
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.ask({"prompt": "truck at door 4", "max_tokens": 4}, "p")
        device.outcome("p")
        listener.heard(2.0)
        soon = listener.heard(8.0)
        listener.heard(50.0)
        late = listener.heard(20.0)
    assert 4 <= looks(soon) <= 9
    assert late == []


def test_a_budget_that_means_nothing_ends_with_78(tmp_path: Path) -> None:
    path = tmp_path / "edged.toml"
    path.write_text(f'[node]\nstate_dir = "{tmp_path}"\n[power]\npeak_w = 1.0\n')
    assert main(["run", "--config", str(path)]) == 78
