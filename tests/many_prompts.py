"""A device that asks many things, as fast as its board answers; run inside the board's network.

In: how many prompts, how many of them at a time, and as which client.  Out: `waiting` on a line
once so many wait for the board, and at the end a JSON object: how many outcomes of each event, of
each attempt, and which ids never got one.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

BOARD = "edged/v1/dock/edge-1"
OUTCOMES = {"done", "refused", "error", "expired", "cancelled", "superseded"}
# No prompt shall expire on a busy machine: it is about prompts that are lost.
TTL_S = 7200
# Nothing is heard for so long: what has no outcome then is lost.
SILENCE_S = 300.0


class Crowd:
    """Asks `count` prompts as `name`, which asked none before, and collects their outcomes.

    As long as there are more, `at_a_time` wait for an outcome: the board is never idle while
    something is done to it.
    """

    def __init__(self, count: int, at_a_time: int, name: str) -> None:
        self._at_a_time = at_a_time
        self._name = name
        self._open = {f"p{number}" for number in range(count)}
        self._asked = 0
        self._count = count
        self._outcomes: list[dict[str, Any]] = []
        self._heard = threading.Condition()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
        self._client.max_inflight_messages_set(at_a_time)
        self._client.on_message = self._take

    def _take(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        reply = json.loads(message.payload)
        with self._heard:
            if reply["event"] in OUTCOMES and reply["id"] in self._open:
                self._open.remove(reply["id"])
                self._outcomes.append(reply)
            self._heard.notify_all()

    def run(self) -> dict[str, Any]:
        """Ask until all are asked and have an outcome, or nothing is heard for too long."""
        self._client.connect("127.0.0.1")
        self._client.subscribe(f"{BOARD}/res/{self._name}/#", qos=1)
        self._client.loop_start()
        self._ask_backlog()
        print("waiting", flush=True)
        until_s = time.monotonic() + SILENCE_S
        while self._open and time.monotonic() < until_s:
            before = len(self._outcomes)
            with self._heard:
                self._heard.wait(1.0)
            self._ask_backlog()
            if len(self._outcomes) != before:
                until_s = time.monotonic() + SILENCE_S
        self._client.disconnect()
        self._client.loop_stop()
        return {
            "events": Counter(one["event"] for one in self._outcomes),
            "attempts": Counter(one.get("attempt") for one in self._outcomes),
            "lost": sorted(self._open),
        }

    @property
    def _waiting(self) -> int:
        return self._asked - len(self._outcomes)

    def _ask_backlog(self) -> None:
        while self._asked < self._count and self._waiting < self._at_a_time:
            text = f"pallet {10_000 + self._asked} at dock 6"
            prompt = {"template": "dock-event", "input": text, "ttl_s": TTL_S}
            topic = f"{BOARD}/req/{self._name}/p{self._asked}"
            self._client.publish(topic, json.dumps(prompt), qos=1)
            self._asked += 1


if __name__ == "__main__":
    crowd = Crowd(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    print(json.dumps(crowd.run()), flush=True)
