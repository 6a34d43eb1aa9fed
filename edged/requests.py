"""Reading a prompt: the bytes and properties of one PUBLISH become a `Request`, or a refusal.

In:  `Inbound` from mqtt.     Out: `Request`, and the id that the device gave, to admission.
Pure. Does not know: rows, tokens, whether a template exists.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from edged.contract import CORRELATION_BYTES_MAX, USER_PROPERTIES_MAX, Inbound, Request, parse
from edged.errors import Refusal
from edged.topics import is_id

# Python's recursion limit, shared with whatever calls us, is far above.
DEPTH_MAX = 64

_ID_RULE = "[A-Za-z0-9_.-]{1,64}"

# Keys that a user property may carry, with how its text becomes the key's type.
_SCALARS: dict[str, type] = {
    "id": str,
    "template": str,
    "max_tokens": int,
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "min_p": float,
    "repeat_penalty": float,
    "seed": int,
    "receipt": bool,
    "stream": bool,
    "priority": int,
    "ttl_s": float,
    "on_long": str,
    "replace": str,
}


def read_request(inbound: Inbound, prompt_bytes_max: int, default_template: str | None) -> Request:
    """Return the request in `inbound`.

    Args:
        inbound: the message.
        prompt_bytes_max: largest payload, bytes.
        default_template: what a bare text of this client goes to; None: it is a plain prompt.

    Raises:
        Refusal: `too_large`, `retained`, `not_utf8`, `malformed`, `unknown_key` or `bad_id`.
    """
    check_transport(inbound, prompt_bytes_max)
    named = _named_by_properties(inbound)
    table = named | _payload_keys(inbound, named.get("template", default_template))
    if "input" in table and "template" not in table and default_template is not None:
        table["template"] = default_template
    request = _validated(table)
    _check_together(request)
    return request


def check_transport(inbound: Inbound, prompt_bytes_max: int) -> None:
    """Refuse what no prompt may be, whatever its payload says.

    Raises:
        Refusal: `retained` or `too_large`.
    """
    if inbound.retained:
        raise Refusal("retained", "a retained prompt is refused: publish it with retain off")
    if len(inbound.payload) > prompt_bytes_max:
        raise Refusal(
            "too_large",
            f"payload of {len(inbound.payload)} bytes, limit prompt_bytes_max = {prompt_bytes_max}",
        )
    if len(inbound.correlation or b"") > CORRELATION_BYTES_MAX:
        raise Refusal("too_large", f"Correlation Data over {CORRELATION_BYTES_MAX} bytes")
    if len(inbound.user_properties) > USER_PROPERTIES_MAX:
        raise Refusal("too_large", f"more than {USER_PROPERTIES_MAX} user properties")


def _named_by_properties(inbound: Inbound) -> dict[str, Any]:
    """Return the scalar keys among the user properties; the last of a repeated name counts."""
    return {name: _scalar(name, text) for name, text in inbound.user_properties if name in _SCALARS}


def _scalar(name: str, text: str) -> object:
    wanted = _SCALARS[name]
    if wanted is bool:
        if text not in ("true", "false", "1", "0"):
            raise Refusal("malformed", f"user property {name} = {text[:40]!r}: true or false")
        return text in ("true", "1")
    if wanted is str:
        return text
    try:
        value = parse(text)
    except ValueError:
        value = None
    kinds = (int,) if wanted is int else (int, float)
    if type(value) not in kinds:  # a bool is an int to isinstance
        kind = "a whole number" if wanted is int else "a number"
        raise Refusal("malformed", f"user property {name} = {text[:40]!r}: {kind}")
    return value


def _payload_keys(inbound: Inbound, template: str | None) -> dict[str, Any]:
    """Return the keys of a JSON object, or of the bare text that the payload is."""
    text = decoded(inbound.payload)
    if text.lstrip().startswith("{") or "json" in (inbound.content_type or ""):
        return json_object(text)
    if not text.strip():
        raise Refusal("malformed", "prompt: empty; send text, or a JSON object")
    if template is None:
        return {"prompt": text}
    return {"template": template, "input": text}


def decoded(payload: bytes) -> str:
    """Return the payload's text.

    Raises:
        Refusal: `not_utf8`.
    """
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal("not_utf8", f"payload is not UTF-8 at byte {error.start}") from error


def json_object(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`.

    Raises:
        Refusal: `malformed`: not JSON, not an object, or a value that no reply could repeat.
    """
    try:
        table = parse(text)
    except ValueError as error:
        raise Refusal("malformed", f"not JSON: {error}") from error
    if not isinstance(table, dict):
        raise Refusal("malformed", "the payload is JSON, but not an object")
    # No deeper than it has brackets, and most have few: then nothing is walked through.
    if text.count("{") + text.count("[") >= DEPTH_MAX and _depth(table) > DEPTH_MAX:
        raise Refusal("malformed", f"nested over {DEPTH_MAX} levels deep")
    return table


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [inner for item in level for inner in _children(item)]
    return depth


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _validated(table: dict[str, Any]) -> Request:
    # A list is JSON's only sequence; strict pydantic wants the field's own type.
    stop = table.get("stop")
    if isinstance(stop, list):
        table = table | {"stop": tuple(stop)}
    elif isinstance(stop, str):
        table = table | {"stop": (stop,)}
    try:
        return Request.model_validate(table)
    except ValidationError as error:
        raise _refusal(error.errors()) from error


def _refusal(problems: list[Any]) -> Refusal:
    unknown = [item for item in problems if item["type"] == "extra_forbidden"]
    if unknown:
        keys = ", ".join(".".join(str(level) for level in item["loc"]) for item in unknown)
        return Refusal("unknown_key", f"unknown key: {keys[:200]}")
    item = problems[0]
    value = str(item["input"])[:80]
    if item["loc"][0] == "input":  # a union: pydantic names its branches
        return Refusal("malformed", f"input = {value!r}: must be text or an object, not empty")
    key = ".".join(str(level) for level in item["loc"][:3])
    if key == "schema":
        return Refusal("bad_schema", f"schema = {value!r}: must be an object")
    if key in ("id", "replace", "template"):
        return Refusal("bad_id", f"{key} = {value!r}: must match {_ID_RULE}")
    return Refusal("malformed", f"{key} = {value!r}: {item['msg']}")


def _check_together(request: Request) -> None:
    """Refuse keys that exclude each other."""
    given = [
        name for name in ("prompt", "messages", "template") if getattr(request, name) is not None
    ]
    if len(given) != 1:
        raise Refusal(
            "malformed",
            "exactly one of prompt, messages, template + input; given: "
            + (", ".join(given) or "none of them"),
        )
    texts = [turn.content for turn in request.messages or ()]
    texts += [] if request.prompt is None else [request.prompt]
    if not all(text.strip() for text in texts):
        raise Refusal("malformed", f"{given[0]}: an empty text")
    if (request.template is None) != (request.input is None):
        raise Refusal("malformed", "template and input go together")
    if request.answer_schema is not None and request.stop:
        raise Refusal("malformed", "stop cannot be combined with schema")


def given_id(
    client: str, topic_id: str | None, body_id: str | None, inbound: Inbound
) -> str | None:
    """Return the id the device gave: by topic, by key, or by its Correlation Data; else None.

    Raises:
        Refusal: `bad_id`, when topic and key differ or the topic's level is no id.
    """
    if topic_id is not None and not is_id(topic_id):
        raise Refusal("bad_id", f"topic id {topic_id[:80]!r}: must match {_ID_RULE}")
    if topic_id is not None and body_id is not None and topic_id != body_id:
        raise Refusal("bad_id", f"id {body_id!r} in the payload, {topic_id!r} in the topic")
    if topic_id is not None or body_id is not None:
        return topic_id or body_id
    if inbound.correlation:
        return f"h-{_hash(client.encode(), inbound.correlation, inbound.payload)[:32]}"
    return None


def readable_id(inbound: Inbound) -> str | None:
    """Return the id that a message names, whatever else is wrong with it; None without one."""
    named = dict(inbound.user_properties).get("id")
    try:
        table = json.loads(inbound.payload)
    except (ValueError, RecursionError):
        table = None
    id = table.get("id", named) if isinstance(table, dict) else named
    return id if isinstance(id, str) and is_id(id) else None


def fingerprint(inbound: Inbound) -> str:
    """Return what makes two copies of an id the same prompt: payload and recognised properties."""
    named = sorted(pair for pair in inbound.user_properties if pair[0] in _SCALARS)
    return _hash(inbound.payload, json.dumps(named).encode() if named else b"[]")


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
