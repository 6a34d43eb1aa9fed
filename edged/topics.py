"""The topics of the contract: names out, names in.

In:  a site and a node, or a topic that a message came on.     Out: topic strings, or who is meant.
Pure. Does not know: payloads, connections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
UNREADABLE_ID = "~"
# Source: MQTT 5, 1.5.4: a string has at most 65,535 bytes.
TOPIC_BYTES_MAX = 65_535
# Brokers end the connection of whoever publishes deeper.
# Source: EMQX 5, mqtt.max_topic_levels = 128; mosquitto 2.0 takes 201, TOPIC_HIERARCHY_LIMIT.
LEVELS_MAX = 128
_FORBIDDEN = re.compile(r"^\$|[+#\0]")


@dataclass(frozen=True, slots=True)
class Address:
    """Who a request or cancel topic speaks for; `id` is None where the topic has none.

    `kind` is `req` or `cancel`. The levels are as received: `is_id` tells whether they are ids.
    `reply_topic` is set where the configuration names one for a fixed device.
    """

    kind: str
    client: str
    id: str | None
    reply_topic: str | None = None


What = Literal["budget", "drain", "model", "templates"]
COMMANDS: tuple[What, ...] = get_args(What)


@dataclass(frozen=True, slots=True)
class Command:
    """What an order over MQTT is about, and its id, as received."""

    what: What
    id: str


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one board. Fixed depth: no id ever contains a slash."""

    site: str
    node: str

    @property
    def board(self) -> str:
        """Return the common front of every topic of this board."""
        return f"edged/v1/{self.site}/{self.node}"

    @property
    def availability(self) -> str:
        """Return the retained topic of `online` and `offline`."""
        return f"{self.board}/availability"

    @property
    def state(self) -> str:
        """Return the retained topic of the board's state."""
        return f"{self.board}/state"

    @property
    def live(self) -> str:
        """Return the topic of the figures that flow while somebody watches."""
        return f"{self.board}/live"

    @property
    def watch(self) -> str:
        """Return the topic on which viewers ask for `live`."""
        return f"{self.board}/watch"

    def template(self, name: str) -> str:
        """Return the retained topic that describes the template `name`."""
        return f"{self.board}/template/{name}"

    def response(self, client: str, id: str | None) -> str:
        """Return the default reply topic; an id that cannot be read is replied to under `~`."""
        return f"{self.board}/res/{client}/{id or UNREADABLE_ID}"

    def response_filter(self, client: str) -> str:
        """Return the filter a device subscribes to hear every board of the site."""
        return f"edged/v1/{self.site}/+/res/{client}/#"

    @property
    def inbound_filters(self) -> tuple[str, ...]:
        """Return what devices ask on: requests with and without id, and cancels."""
        return (f"{self.board}/req/+", f"{self.board}/req/+/+", f"{self.board}/cancel/+/+")

    @property
    def command_filters(self) -> tuple[str, ...]:
        """Return what the board subscribes too, where it takes orders over MQTT."""
        return tuple(self.command(Command(what, "+")) for what in COMMANDS)

    def command(self, command: Command) -> str:
        """Return the retained topic of an order, and of what became of it."""
        return f"{self.board}/cmd/{command.what}/{command.id}"

    def commanded(self, topic: str) -> Command | None:
        """Return the order that `topic` is of, or None when it is of none."""
        front, _, id = topic.rpartition("/")
        return next(
            (Command(what, id) for what in COMMANDS if front == f"{self.board}/cmd/{what}"), None
        )

    def address(self, topic: str) -> Address | None:
        """Return who `topic` speaks for, or None when it is none of this board's inbound topics."""
        front = f"{self.board}/"
        if not topic.startswith(front):
            return None
        match topic.removeprefix(front).split("/"):
            case ["req", client]:
                return Address("req", client, None)
            case ["req" | "cancel" as kind, client, id]:
                return Address(kind, client, id)
            case _:
                return None


def is_id(text: str) -> bool:
    """Return whether `text` may name a client, a prompt or a template."""
    return ID.fullmatch(text) is not None


def is_publishable(topic: str) -> bool:
    """Return whether edged would ever publish an answer to `topic`.

    Source: MQTT 5, 4.7: wildcards stand in filters only, `$` topics belong to the broker, and
    U+0000 is not allowed.
    """
    return (
        0 < len(topic.encode()) <= TOPIC_BYTES_MAX
        and topic.count("/") < LEVELS_MAX
        and not topic.startswith("$")
        and not set(topic) & {"+", "#", "\0"}
    )


def mended(topic: str) -> str:
    """Return a topic as it is, or near it, where a disk made it one that nobody may publish to."""
    changed = _FORBIDDEN.sub("~", topic)
    return changed if is_publishable(changed) else UNREADABLE_ID


def matches(topic_filter: str, topic: str) -> bool:
    """Return whether `topic` (without wildcards) falls under `topic_filter`."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(given) or level not in ("+", given[place]):
            return False
    return len(wanted) == len(given)


def levels(topic_filter: str, topic: str) -> tuple[str, ...]:
    """Return the levels of `topic` that stand where `topic_filter` has `+`, in order."""
    pairs = zip(topic_filter.split("/"), topic.split("/"), strict=False)
    return tuple(level for wanted, level in pairs if wanted == "+")
