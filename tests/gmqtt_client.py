"""A device on gmqtt: asks once, prints what it heard, and ends.

In:  host, port, and what to ask as JSON.     Out: topic, payload and correlation as JSON.
A process of its own: gmqtt's package brings a top-level package `tests`, which would hide this one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311


async def ask(host: str, port: int, asking: dict[str, Any]) -> dict[str, Any]:
    """Ask as told; return what was heard."""
    answers, subscribed = asyncio.Queue[dict[str, Any]](), asyncio.Event()

    def heard(_: Any, topic: str, payload: bytes, __: int, properties: dict[str, Any]) -> int:
        (correlation,) = properties.get("correlation_data", [None])
        told = None if correlation is None else correlation.hex()
        answers.put_nowait({"topic": topic, "payload": payload.decode(), "correlation": told})
        return 0  # of its PUBACK: success

    client = gmqtt.Client(asking["client"])
    client.on_message = heard
    client.on_subscribe = lambda *_: subscribed.set()
    await client.connect(host, port, version=MQTTv50 if asking["version"] == "5" else MQTTv311)
    client.subscribe(asking["replies"], qos=1)
    await subscribed.wait()
    properties = dict(asking["properties"])
    if asking["correlation"] is not None:
        properties["correlation_data"] = bytes.fromhex(asking["correlation"])
    client.publish(asking["prompts"], asking["body"], qos=1, **properties)
    answer = await answers.get()
    await client.disconnect()
    return answer


if __name__ == "__main__":
    print(json.dumps(asyncio.run(ask(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])))))
