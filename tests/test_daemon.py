"""The daemon as devices meet it: real broker, real processes, the simulated engine.

Goal: each promise and each refusal of the contract, seen from outside. Method: a device publishes,
and what it hears is the whole evidence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import paho.mqtt.client as paho
import pytest

from edged.templates import load
from tests.broker import Mosquitto
from tests.daemon_fixture import BOARD, ROOT, Asker, Daemon, long_answer, wait_until

pytestmark = pytest.mark.broker

SHIPPED = {"template": "dock-event", "input": "truck at door 4"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def daemon(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    sections: dict[str, dict[str, Any]] = {
        "model": {"context_tokens": 8192, "sequences": 4},
        "clients.scanner": {"default_template": "label-read", "response_topics": ["plc/+/answer"]},
        "requests": {"prompt_bytes_max": 4096},
    }
    place = tmp_path_factory.mktemp("daemon")
    with Daemon(place, broker, sections=sections) as running:
        with running.config.open("a") as file:
            file.write(
                '[[input]]\ntopic = "dock/+/text"\ntemplate = "dock-event"\n'
                'input = { message = "msg" }\nreply_topic = "dock/{1}/answer"\n'
            )
        running.stop()
        running.start()
        running.wait_for_log("is resident")
        running.wait_for_log("connected to the broker")
        yield running


@pytest.fixture
def device(broker: Mosquitto, daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[Asker]:
    name = request.node.name[:60].replace("[", "-").replace("]", "")
    client = "".join(letter if letter.isalnum() or letter in "_.-" else "_" for letter in name)
    with Asker(broker, client) as connected:
        connected.listen()
        yield connected


def named(state_dir: Path, name: str) -> dict[str, dict[str, Any]]:
    """Return the tables of a board of its own on the shared broker."""
    return {"node": {"state_dir": str(state_dir), "name": name}}


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


REFUSED: dict[str, tuple[object, dict[str, Any], str]] = {
    "not UTF-8": (b"\xff\xfe", {}, "not_utf8"),
    "not JSON where JSON is meant": (b"{nonsense", {}, "malformed"),
    "an unknown key": ({"prompt": "x", "promt": "y"}, {}, "unknown_key"),
    "a wrong type": ({"prompt": 7}, {}, "malformed"),
    "an empty prompt": (b"  ", {}, "malformed"),
    "an empty prompt in JSON": ({"prompt": ""}, {}, "malformed"),
    "a payload over the limit": (b"x" * 5000, {}, "too_large"),
    "a payload of a megabyte": (b"x" * 1_048_576, {}, "too_large"),
    "an unknown template": ({"template": "nope", "input": "x"}, {}, "unknown_template"),
    "a schema that is none": ({"prompt": "x", "schema": {"type": "banana"}}, {}, "bad_schema"),
    "an unknown keyword": ({"prompt": "x", "schema": {"typ": "string"}}, {}, "bad_schema"),
    "an infinite schema": (
        {
            "prompt": "x",
            "schema": {
                "$ref": "#/$defs/a",
                "$defs": {
                    "a": {
                        "type": "object",
                        "properties": {"next": {"$ref": "#/$defs/a"}},
                        "required": ["next"],
                    }
                },
            },
        },
        {},
        "bad_schema",
    ),
    "a minimal answer over the context": (
        {"prompt": "x", "schema": {"type": "string", "minLength": 9000}},
        {},
        "bad_schema",
    ),
    "max_tokens under the schema's minimum": (
        {"prompt": "x", "schema": long_answer(50), "max_tokens": 3},
        {},
        "malformed",
    ),
    "max_tokens over the context": ({"prompt": "x", "max_tokens": 100_000}, {}, "malformed"),
    "a negative ttl": ({"prompt": "x", "ttl_s": -1}, {}, "malformed"),
    "a foreign Response Topic": (b"x", {"ResponseTopic": "plc/1/coil"}, "response_topic"),
    "2 kB of Correlation Data": (b"x", {"CorrelationData": b"c" * 2000}, "too_large"),
    "200 user properties": (b"x", {"UserProperty": [("k", "v")] * 200}, "too_large"),
    "an id that differs from the topic's": ({"id": "other", "prompt": "x"}, {}, "bad_id"),
    "stop beside a schema": (
        {"prompt": "x", "schema": {"type": "string"}, "stop": ["a"]},
        {},
        "malformed",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_with_its_reason_and_a_sentence(device: Asker, what: str) -> None:
    payload, properties, reason = REFUSED[what]
    device.ask(payload, "p", **properties)
    reply = device.next()
    assert (reply["event"], reply["reason"]) == ("refused", reason)
    assert len(reply["detail"]) > 10


def test_a_response_topic_with_a_wildcard_is_refused(device: Asker) -> None:
    device.ask(b"x", "p", ResponseTopic=f"edged/v1/dock/any/res/{device.client}/#")
    assert device.next()["reason"] == "response_topic"


def test_a_retained_prompt_is_refused(device: Asker, broker: Mosquitto) -> None:
    topic = f"{BOARD}/req/{device.client}/p"
    device.publish(topic, b"hello", retain=True)
    assert device.next()["reason"] == "retained"
    device.publish(topic, b"", retain=True)  # clears it for the tests that follow


def test_an_id_that_cannot_be_read_is_answered_under_the_tilde(device: Asker) -> None:
    device.send(f"{BOARD}/req/{device.client}/a b", b"hello")
    device.next()
    topic, reply, _ = device.replies[0]
    assert (topic.rpartition("/")[2], reply["reason"]) == ("~", "bad_id")


def test_after_every_refusal_the_daemon_still_answers(device: Asker) -> None:
    for number, (payload, properties, _) in enumerate(REFUSED.values()):
        device.ask(payload, f"bad-{number}", **properties)
    device.ask({"prompt": "hello"}, "good")
    assert device.outcome("good")["event"] == "done"


def test_what_was_accepted_before_a_kill_is_answered_after_it(
    broker: Mosquitto, tmp_path: Path
) -> None:
    sections = named(tmp_path / "d", "edge-2") | {"model": {"context_tokens": 8192}}
    with Daemon(tmp_path / "d", broker, sections=sections) as daemon, Asker(broker) as device:
        daemon.wait_for_log("is resident")
        daemon.wait_for_log("connected to the broker")
        device.listen()
        body = {"prompt": "x", "schema": long_answer(400), "receipt": True}
        device.send("edged/v1/dock/edge-2/req/dev/p", body)
        device.next(lambda reply: reply["event"] == "accepted")
        daemon.kill()
        engine = daemon.engine_pid
        daemon.start()
        assert device.outcome("p")["event"] == "done"
        assert daemon.engine_pid == engine, "the engine was taken over, not started again"


def test_a_second_board_of_the_same_name_keeps_none_from_working(
    broker: Mosquitto, daemon: Daemon, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker) as rival:
        rival.wait_for_log("connection to")
        rival.wait_for_log("is resident")
        assert rival.stop() == 0
    daemon.wait_for_log("connected to the broker")


def test_sigterm_ends_daemon_and_spawned_engine(broker: Mosquitto, tmp_path: Path) -> None:
    with Daemon(tmp_path, broker, sections=named(tmp_path, "edge-5")) as daemon:
        daemon.wait_for_log("is resident")
        assert daemon.stop() == 0
        assert daemon.engine_pid is None


def test_a_second_daemon_on_the_same_state_is_refused_with_78(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker, sections=named(tmp_path, "edge-6")) as first:
        first.wait_for_log("is resident")
        second = Daemon(tmp_path, broker, sections=named(tmp_path, "edge-6"))
        second.start()
        assert second.process is not None
        assert second.process.wait(60) == 78
        assert "another edged" in first.log.read_text()


def test_a_missing_model_is_refused_with_engine_down(broker: Mosquitto, tmp_path: Path) -> None:
    sections = named(tmp_path / "d", "edge-3")
    sections["model"] = {"path": str(tmp_path / "no.gguf")}
    daemon = Daemon(tmp_path / "d", broker, backend="llama", sections=sections)
    with daemon, Asker(broker) as device:
        daemon.wait_for_log("no such model file")
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.send("edged/v1/dock/edge-3/req/dev/p", b"hello")
        reply = device.next()
    assert (reply["reason"], reply["retry_after_s"] > 0) == ("engine_down", True)


def test_without_a_broker_it_stays_up_and_says_so(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    with Daemon(tmp_path / "d", broker) as daemon:
        daemon.wait_for_log("is resident")
        daemon.wait_for_log(f"127.0.0.1:{broker.port}")
        with broker:
            daemon.wait_for_log("connected to the broker")


def test_a_wrong_password_is_told_and_tried_again(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("wrong\n")
    sections: dict[str, dict[str, Any]] = {
        "broker": {"username": "edged", "password_file": str(password)}
    }
    with (
        Mosquitto(tmp_path / "broker", users={"edged": "right"}) as broker,
        Daemon(tmp_path / "d", broker, sections=sections) as daemon,
    ):
        wait_until(
            lambda: "password" in daemon.log.read_text().lower(), "a word about the password"
        )
        password.write_text("right\n")
        daemon.wait_for_log("connected to the broker")


def test_it_says_offline_when_it_ends_and_online_when_it_runs(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "d", broker, sections=named(tmp_path / "d", "edge-4")) as daemon:
        daemon.wait_for_log("connected to the broker")
        listen = ("-t", "edged/v1/dock/edge-4/availability", "-C")
        assert broker.run("mosquitto_sub", *listen, "1").strip() == "online"
        daemon.stop()
        assert broker.run("mosquitto_sub", *listen, "1").strip() == "offline"
