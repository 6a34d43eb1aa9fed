"""What a broker refuses is sent again where that may help, and holds up nothing meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from edged.errors import BrokerGone
from edged.mqtt.client import Client
from edged.mqtt.outgoing import AGAIN_MAX, AGAIN_S, Outgoing
from edged.mqtt.packets import Limits
from tests.mqtt_fixtures import to
from tests.virtual_time import VirtualLoop, run_virtually

# Source: MQTT 5, table 3-4.
UNSPECIFIED, IMPLEMENTATION_SPECIFIC, QUOTA_EXCEEDED = 0x80, 0x83, 0x97
NOT_AUTHORIZED, TOPIC_INVALID, PAYLOAD_INVALID = 0x87, 0x90, 0x99


class Sender(Client):
    """Keeps what it is to send; its packet ids are 1, 2, 3."""

    def __init__(self) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.sent: list[bytes] = []

    def publish(self, topic: str, payload: Any = None, *_: Any, **__: Any) -> paho.MQTTMessageInfo:
        self.sent.append(payload)
        return paho.MQTTMessageInfo(len(self.sent))


def play(
    scenario: Callable[[VirtualLoop, Outgoing, Sender], Awaitable[None]], *, window: int = 1
) -> None:
    """Run a scenario on the messages of a connection, in virtual time."""

    async def whole(loop: VirtualLoop) -> None:
        sender = Sender()
        outgoing = Outgoing(sender, "5", Limits(window, 1000), lambda message: message)
        await scenario(loop, outgoing, sender)

    run_virtually(whole)


def puback(reason: int) -> ReasonCode:
    """Return the reason of a PUBACK."""
    return ReasonCode(PacketTypes.PUBACK, identifier=reason)


async def refuse(outgoing: Outgoing, sender: Sender, reason: int) -> None:
    """Refuse whatever is sent, for ever."""
    told = 0
    while True:
        if told < len(sender.sent):
            told += 1
            outgoing.acknowledged(told, puback(reason))
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("reason", [UNSPECIFIED, IMPLEMENTATION_SPECIFIC, QUOTA_EXCEEDED])
def test_what_may_pass_is_tried_again_a_few_times(reason: int) -> None:
    async def scenario(loop: VirtualLoop, outgoing: Outgoing, sender: Sender) -> None:
        refusing = asyncio.create_task(refuse(outgoing, sender, reason))
        assert not (await outgoing.publish(to("t", b"answer"))).claimed
        assert sender.sent == [b"answer"] * (1 + AGAIN_MAX)
        assert loop.time() == pytest.approx(AGAIN_MAX * AGAIN_S, abs=1)
        refusing.cancel()

    play(scenario)


def test_what_has_passed_by_then_is_acknowledged() -> None:
    async def scenario(loop: VirtualLoop, outgoing: Outgoing, sender: Sender) -> None:
        loop.call_later(1.0, outgoing.acknowledged, 1, puback(QUOTA_EXCEEDED))
        loop.call_later(1.0 + AGAIN_S + 1.0, outgoing.acknowledged, 2, puback(0))
        assert (await outgoing.publish(to("t", b"answer"))).claimed
        assert sender.sent == [b"answer"] * 2

    play(scenario)


@pytest.mark.parametrize("reason", [NOT_AUTHORIZED, TOPIC_INVALID, PAYLOAD_INVALID])
def test_what_is_refused_for_good_is_not_tried_again(reason: int) -> None:
    async def scenario(loop: VirtualLoop, outgoing: Outgoing, sender: Sender) -> None:
        loop.call_later(1.0, outgoing.acknowledged, 1, puback(reason))
        assert not (await outgoing.publish(to("t", b"answer"))).claimed
        assert sender.sent == [b"answer"]
        assert loop.time() == pytest.approx(1.0, abs=0.1)

    play(scenario)


def test_a_message_that_waits_to_be_tried_again_holds_no_place_in_the_window() -> None:
    async def scenario(loop: VirtualLoop, outgoing: Outgoing, sender: Sender) -> None:
        refused = asyncio.create_task(outgoing.publish(to("t", b"refused")))
        await asyncio.sleep(0.1)
        loop.call_later(1.0, outgoing.acknowledged, 1, puback(QUOTA_EXCEEDED))
        loop.call_later(2.0, outgoing.acknowledged, 2, puback(0))
        assert (await outgoing.publish(to("t", b"next"))).claimed
        assert sender.sent == [b"refused", b"next"]
        refused.cancel()

    play(scenario, window=1)


def test_an_end_of_the_connection_is_not_waited_out() -> None:
    async def scenario(loop: VirtualLoop, outgoing: Outgoing, sender: Sender) -> None:
        loop.call_later(1.0, outgoing.acknowledged, 1, puback(QUOTA_EXCEEDED))
        loop.call_later(2.0, outgoing.end, "the cable was pulled")
        with pytest.raises(BrokerGone):
            await outgoing.publish(to("t", b"answer"))
        assert sender.sent == [b"answer"]
        assert loop.time() == pytest.approx(2.0, abs=0.1)

    play(scenario)
