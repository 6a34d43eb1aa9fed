"""The daemon as devices meet it: real broker, real processes, the simulated engine.

Goal: what a device asks is answered as the contract promises, seen from outside. Method: a device
publishes, and what it hears is the whole evidence.
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import paho.mqtt.client as paho
import pytest

from edged.templates import load
from tests.broker import Mosquitto
from tests.broker import broker as broker
from tests.daemon_fixtures import BOARD, ROOT, SHIPPED, Asker, Daemon, long_answer, named
from tests.daemon_fixtures import daemon as daemon
from tests.daemon_fixtures import device as device

pytestmark = pytest.mark.broker


def test_a_prompt_without_receipt_gets_exactly_one_message(device: Asker) -> None:
    device.ask(SHIPPED, "one")
    device.outcome("one")
    device.ask(SHIPPED, "two")
    device.outcome("two")
    assert device.events("one") == ["done"]


def test_a_receipt_is_told_before_the_outcome(device: Asker) -> None:
    device.ask(SHIPPED | {"receipt": True}, "p")
    device.outcome("p")
    assert device.events("p") == ["accepted", "done"]


def test_the_answer_of_a_template_has_the_fields_of_its_schema(device: Asker) -> None:
    device.ask(SHIPPED, "p")
    assert list(device.outcome("p")["json"])[:3] == ["event", "dock", "pallet"]


def test_confidences_fitted_on_another_model_do_not_count_and_the_log_says_so(
    device: Asker, daemon: Daemon
) -> None:
    device.ask(SHIPPED, "p")
    reply = device.outcome("p")
    assert reply["calibrated"] is False
    assert list(reply["confidence_fields"]) == list(reply["json"])
    assert "calibration.json was fitted on another model" in daemon.log.read_text()


@pytest.mark.model
def test_the_shipped_model_tells_chances_for_the_answer_and_each_field(
    broker: Mosquitto, tmp_path: Path
) -> None:
    sections = named(tmp_path, "edge-12")
    with (
        Daemon(tmp_path, broker, backend="llama", sections=sections) as own,
        Asker(broker) as asker,
    ):
        own.wait_for_log("is resident")
        own.wait_for_log("connected to the broker")
        asker.listen()
        asker.send("edged/v1/dock/edge-12/req/dev/p", SHIPPED)
        reply = asker.next()
        assert reply["calibrated"] is True
        assert list(reply["confidence_fields"]) == list(reply["json"])
        shares = [reply["confidence"], *reply["confidence_fields"].values()]
        assert all(0 < share < 1 for share in shares)
        assert "another model" not in own.log.read_text()


def test_the_chunks_of_a_stream_join_to_the_answer(device: Asker) -> None:
    device.ask({"prompt": "hello", "schema": long_answer(40), "stream": True}, "p")
    outcome = device.outcome("p")
    chunks = [reply for _, reply, _ in device.replies if reply["event"] == "chunk"]
    assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
    assert json.loads("".join(chunk["text"] for chunk in chunks)) == outcome["json"]


def test_a_device_sees_the_json_of_a_template_that_is_written_compactly(
    broker: Mosquitto, tmp_path: Path
) -> None:
    shipped = (ROOT / "edged/models/dock-mini/templates/dock-event.toml").read_text()
    (tmp_path / "dock-event.toml").write_text(f'wire = "compact"\n{shipped}')
    sections = named(tmp_path / "d", "edge-8") | {"model": {"templates_dir": str(tmp_path)}}
    with Daemon(tmp_path / "d", broker, sections=sections) as daemon, Asker(broker) as device:
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.send("edged/v1/dock/edge-8/req/dev/p", SHIPPED | {"stream": True})
        outcome = device.outcome("p")
    schema = load(tmp_path)["dock-event"].schema
    assert schema is not None
    jsonschema.validate(outcome["json"], json.loads(schema))
    chunks = [reply["text"] for _, reply, _ in device.replies if reply["event"] == "chunk"]
    text = "".join(chunks)
    assert json.loads(text) == outcome["json"]
    # The simulated model has a token for each byte.
    assert outcome["usage"]["output_tokens"] < len(text.encode())


def test_every_answer_says_its_joules_and_that_they_are_estimated(device: Asker) -> None:
    device.ask({"prompt": "hello", "schema": long_answer(100)}, "p")
    energy = device.outcome("p")["energy"]
    assert energy["source"] == "estimated"
    assert energy["j"] > 0


def test_the_same_prompt_again_gets_the_same_bytes_and_no_second_inference(device: Asker) -> None:
    device.ask({"prompt": "hello", "temperature": 1.5, "max_tokens": 20}, "p")
    device.outcome("p")
    device.ask({"prompt": "hello", "temperature": 1.5, "max_tokens": 20}, "p")
    device.outcome("p")
    first, second = (message.payload for _, _, message in device.replies)
    assert first == second


def test_the_same_id_with_another_prompt_is_a_conflict(device: Asker) -> None:
    device.ask({"prompt": "one"}, "p")
    device.outcome("p")
    device.ask({"prompt": "two"}, "p")
    assert device.next()["reason"] == "id_conflict"


def test_a_cancel_ends_a_running_prompt(device: Asker) -> None:
    device.ask({"prompt": "x", "schema": long_answer(4000), "stream": True}, "p")
    device.next(lambda reply: reply["event"] == "chunk")
    device.cancel("p")
    assert device.outcome("p")["event"] == "cancelled"


def test_a_cancelled_prompt_still_says_what_it_cost(device: Asker) -> None:
    device.ask({"prompt": "x", "schema": long_answer(4000), "stream": True}, "p")
    device.next(lambda reply: reply["event"] == "chunk")
    device.cancel("p")
    assert device.outcome("p")["usage"]["output_tokens"] > 0


def test_a_cancel_of_an_unknown_id_is_refused(device: Asker) -> None:
    device.cancel("nobody")
    assert device.next()["reason"] == "unknown_id"


def test_a_cancel_that_comes_too_late_gets_the_outcome_once_more(device: Asker) -> None:
    device.ask({"prompt": "hello"}, "p")
    device.outcome("p")
    device.cancel("p")
    assert device.next()["event"] == "done"


def test_a_prompt_that_is_not_done_in_time_expires(device: Asker) -> None:
    device.ask({"prompt": "x", "schema": long_answer(7000), "ttl_s": 1}, "p")
    assert device.outcome("p")["status"] == 408


def test_a_message_expiry_is_a_deadline(device: Asker) -> None:
    device.ask({"prompt": "x", "schema": long_answer(7000)}, "p", MessageExpiryInterval=1)
    assert device.outcome("p")["event"] == "expired"


def test_a_newer_prompt_with_the_same_key_supersedes_a_waiting_one(device: Asker) -> None:
    for number in range(4):  # the whole batch is busy
        device.ask({"prompt": "x", "schema": long_answer(1500)}, f"busy-{number}")
    device.ask({"prompt": "old", "replace": "display", "receipt": True}, "old")
    device.next(lambda reply: reply["id"] == "old" and reply["event"] == "accepted")
    device.ask({"prompt": "new", "replace": "display"}, "new")
    assert device.outcome("old")["event"] == "superseded"
    for number in range(4):
        device.cancel(f"busy-{number}")
    assert device.outcome("new")["event"] == "done"


def test_a_superseded_prompt_is_told_at_once(broker: Mosquitto, tmp_path: Path) -> None:
    sections = named(tmp_path / "d", "edge-7")
    sections["engine"] = {"socket": "/proc/none.sock"}  # no engine can listen there
    with Daemon(tmp_path / "d", broker, sections=sections) as daemon, Asker(broker) as device:
        daemon.wait_for_log("connected to the broker")
        device.listen()
        topic = "edged/v1/dock/edge-7/req/dev"
        device.send(f"{topic}/old", {"prompt": "x", "replace": "display"})
        device.send(f"{topic}/new", {"prompt": "y", "replace": "display"})
        assert device.outcome("old")["event"] == "superseded"


def test_messages_that_are_too_long_are_trimmed_where_that_is_asked(device: Asker) -> None:
    turns = [{"role": "user", "content": "x" * 900} for _ in range(3)]
    turns += [{"role": "user", "content": "y" * 100}]
    body = {"messages": turns, "on_long": "trim", "max_tokens": 7200}
    device.ask(body, "p")
    limits = device.outcome("p")["limits"]
    assert limits["trimmed_tokens"] >= 2700


def test_messages_that_are_too_long_are_refused_otherwise(device: Asker) -> None:
    turns = [{"role": "user", "content": "x" * 900} for _ in range(3)]
    device.ask({"messages": turns, "max_tokens": 7200}, "p")
    assert device.next()["reason"] == "too_long"


def test_the_longest_names_allowed_get_an_answer(broker: Mosquitto, daemon: Daemon) -> None:
    with Asker(broker, "c" * 64) as device:
        device.listen()
        device.ask(SHIPPED, "i" * 64)
        assert device.outcome("i" * 64)["event"] == "done"


def test_the_response_topic_and_correlation_data_come_back(device: Asker) -> None:
    topic = f"edged/v1/dock/any/res/{device.client}/mine"
    device.ask(SHIPPED, None, ResponseTopic=topic, CorrelationData=b"\0\xff7")
    device.next()
    heard, _, message = device.replies[0]
    assert (heard, message.properties.CorrelationData) == (topic, b"\0\xff7")  # type: ignore[union-attr] # an MQTT 5 message has them


def test_a_prompt_without_id_gets_one_from_its_correlation_data(device: Asker) -> None:
    device.ask(SHIPPED, None, CorrelationData=b"7")
    assert device.next()["id"].startswith("h-")


def test_a_prompt_without_id_and_correlation_gets_one_from_the_board(device: Asker) -> None:
    device.ask(SHIPPED)
    assert device.next()["id"].startswith("b-")


def test_a_user_property_names_the_template_of_a_bare_text(device: Asker) -> None:
    device.ask(b"truck at door 4", "p", UserProperty=("template", "dock-event"))
    assert device.outcome("p")["template"]["name"] == "dock-event"


def test_a_bare_text_of_a_client_goes_to_its_default_template(
    broker: Mosquitto, daemon: Daemon
) -> None:
    with Asker(broker, "scanner") as scanner:
        scanner.listen()
        scanner.ask(b"DHL JK 204 551", "p")
        assert scanner.outcome("p")["template"]["name"] == "label-read"


def test_a_fixed_device_is_answered_on_its_own_topic(broker: Mosquitto, daemon: Daemon) -> None:
    with Asker(broker) as device:
        device.subscribe("dock/+/answer")
        device.send("dock/gate7/text", {"msg": "truck at door 4", "rssi": -70})
        device.next()
    topic, reply, _ = device.replies[0]
    assert (topic, reply["event"]) == ("dock/gate7/answer", "done")


def test_a_device_on_3_1_1_gets_its_answer(broker: Mosquitto, daemon: Daemon) -> None:
    with Asker(broker, "old-plc", paho.MQTTv311) as device:
        device.listen()
        device.ask(SHIPPED, "p")
        assert device.outcome("p")["event"] == "done"


def test_the_state_is_retained_and_names_model_and_limits(
    broker: Mosquitto, daemon: Daemon
) -> None:
    with Asker(broker) as device:
        device.subscribe(f"{BOARD}/state")
        state = device.next()
    assert state["limits"]["context_tokens"] == 8192
    assert state["power"]["source"] == "estimated"


def test_each_template_is_described_on_its_topic(broker: Mosquitto, daemon: Daemon) -> None:
    with Asker(broker) as device:
        device.subscribe(f"{BOARD}/template/+")
        names = {device.next()["name"] for _ in range(5)}
    assert "stock-question" in names
