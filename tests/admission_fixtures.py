"""A site with clients of all kinds, and what admission makes of a message there.

In: a payload and the topic it came on.  Out: a submission, a refusal, and where its reply goes.
"""

from __future__ import annotations

import json
from typing import Any

from edged import config
from edged.admission import CancelOrder, Refused, Submission, read
from edged.contract import Inbound
from edged.engine.frames import Wire
from edged.inputs import InputMap
from edged.site import Site
from edged.templates import Template
from edged.topics import Topics

BOARD = "edged/v1/dock/edge-1"
FRESH_ID = "b-3-1"
SCHEMA = '{"type":"object"}'
GATE = config.Input(
    topic="gate/+/text", client="g{1}", template="note", reply_topic="gate/{1}/answer"
)


def template(name: str, *, schema: str | None = None, wire: Wire = "json") -> Template:
    return Template(
        name=name,
        description="",
        root="root",
        payload="{text}",
        suffix="",
        variables={"text": "any"},
        schema=schema,
        max_tokens=40,
        on_cap="error",
        example_input="a",
        example_answer="{}",
        digest="sha256:0",
        wire=wire,
    )


SITE = Site(
    topics=Topics("dock", "edge-1"),
    requests=config.Requests(prompt_bytes_max=4096),
    outcome_ttl_s=172_800,
    clients={
        "boss": config.Client(priority_max=9, system_role=True),
        "slow": config.Client(priority_max=3),
        "plc": config.Client(response_topics=("plc/7/answer", "lines/+/out")),
        "texter": config.Client(default_template="note"),
    },
    templates={
        "note": template("note"),
        "typed": template("typed", schema=SCHEMA),
        "short": template("short", schema=SCHEMA, wire="compact"),
    },
    inputs=InputMap([GATE]),
)


def message(
    payload: bytes | dict[str, Any], topic: str = "req/c1/p1", **more: Any
) -> Submission | CancelOrder | Refused | None:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return read(Inbound(f"{BOARD}/{topic}", body, **more), SITE, FRESH_ID)


def submission(
    payload: bytes | dict[str, Any], topic: str = "req/c1/p1", **more: Any
) -> Submission:
    found = message(payload, topic, **more)
    assert isinstance(found, Submission), found
    return found


def refused(payload: bytes | dict[str, Any], topic: str = "req/c1/p1", **more: Any) -> Refused:
    found = message(payload, topic, **more)
    assert isinstance(found, Refused), found
    return found


def told(found: Refused) -> tuple[str | None, str]:
    assert found.sender is not None
    return found.sender.id, found.sender.destination.topic


def reply_topic(found: Submission) -> str:
    return found.sender.destination.topic
