"""Requests of tests: messages as they come from the broker, and what is read in them.

In: a payload, and what stands beside it.  Out: the request, or why it is refused.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from edged.contract import Inbound, Request
from edged.errors import Refusal
from edged.requests import read_request

PROMPT_BYTES_MAX = 65_536


def inbound(payload: bytes | dict[str, Any], **more: Any) -> Inbound:
    """Return a prompt as it comes from the broker."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Inbound("edged/v1/dock/edge-1/req/c1", body, **more)


def read(
    payload: bytes | dict[str, Any], default_template: str | None = None, **more: Any
) -> Request:
    """Return the request in a payload."""
    return read_request(inbound(payload, **more), PROMPT_BYTES_MAX, default_template)


def refusal(payload: bytes | dict[str, Any], **more: Any) -> Refusal:
    """Return why a payload is refused."""
    with pytest.raises(Refusal) as caught:
        read(payload, **more)
    return caught.value


def value(request: Request, key: str) -> object:
    """Return what a request says under a key of the contract."""
    return request.answer_schema if key == "schema" else getattr(request, key)
