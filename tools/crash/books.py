"""What one outside client asked and heard, and what was done to the board meanwhile.

In:  entries, as things happen.     Out: which prompts were accepted, which have an outcome.
`Books` is pure; `BookFile` keeps the entries in a file of JSON lines, so that a count goes on after
whoever kept it was ended. The books never look into the board: they are evidence against it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

OUTCOMES = frozenset({"done", "error", "expired", "cancelled", "superseded"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt was published, the first time or again."""

    id: str
    payload: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A reply came; of its bytes a digest is kept."""

    id: str
    event: str
    digest: str


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault was done: `group` is what is counted, `fault` is which."""

    group: str
    fault: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Prompts that were called accepted have no row on the board's disk."""

    ids: list[str]


@dataclass(frozen=True, slots=True)
class Died:
    """A process ended that nobody had killed."""

    process: str


Entry = Asked | Heard | Struck | Missing | Died
_KINDS: dict[str, type[Entry]] = {
    kind.__name__.lower(): kind for kind in (Asked, Heard, Struck, Missing, Died)
}


@dataclass(slots=True)
class Books:
    """The sums of all entries.

    Attributes:
        asked: the payload of each prompt, by its id.
        accepted: the ids that the board called accepted.
        open: the ids without an outcome, in the order of their first publish.
        outcomes: the digests of the distinct outcomes of each id.
        events: the event of each id's first outcome.
        refused: ids that were refused, at least once.
        asked_again: so often a known prompt was published.
        struck: so many faults of each (group, fault).
        missing: accepted ids that were not on the board's disk when somebody looked.
        died: processes that ended by themselves.
    """

    asked: dict[str, str] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    open: dict[str, None] = field(default_factory=dict)
    outcomes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    events: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    asked_again: int = 0
    replies: int = 0
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)
    missing: set[str] = field(default_factory=set)
    died: Counter[str] = field(default_factory=Counter)

    def enter(self, entry: Entry) -> None:
        """Add an entry."""
        match entry:
            case Asked(id, payload):
                self._ask(id, payload)
            case Heard():
                self._hear(entry)
            case Struck(group, fault):
                self.struck[group, fault] += 1
            case Missing(ids):
                self.missing.update(ids)
            case Died(process):
                self.died[process] += 1

    @property
    def unfinished(self) -> set[str]:
        """The accepted prompts without an outcome: at the end, the lost ones."""
        return self.accepted - self.events.keys()

    @property
    def contradicted(self) -> list[str]:
        """The ids with two distinct outcomes."""
        return sorted(id for id, digests in self.outcomes.items() if len(digests) > 1)

    def struck_of(self, group: str) -> int:
        """Return how many faults of a group there were."""
        return sum(count for (of, _), count in self.struck.items() if of == group)

    def _ask(self, id: str, payload: str) -> None:
        self.asked_again += id in self.asked
        self.asked[id] = payload
        if id not in self.events:
            self.open[id] = None

    def _hear(self, reply: Heard) -> None:
        self.replies += 1
        if reply.event == "accepted":
            self.accepted.add(reply.id)
        elif reply.event == "refused":
            self.refused.add(reply.id)
        elif reply.event in OUTCOMES:
            self.outcomes[reply.id].add(reply.digest)
            self.events.setdefault(reply.id, reply.event)
            self.open.pop(reply.id, None)


class BookFile:
    """Books in a file; what was written before goes on.

    Args:
        path: of the JSON lines; the file need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.books = Books()
        for entry in read(path):
            self.books.enter(entry)
        self._file = path.open("ab", buffering=0)

    def enter(self, entry: Entry) -> None:
        """Write an entry down, and count it."""
        self._file.write(_line(entry))
        self.books.enter(entry)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def digest_of(reply: bytes) -> str:
    """Return what the books keep of a reply's bytes: enough to tell two from each other."""
    return hashlib.sha256(reply).hexdigest()[:16]


def read(path: Path) -> Iterator[Entry]:
    """Return the entries of a file; a last line that was cut off is removed from it."""
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        cut = lines.pop()
        with path.open("ab") as file:
            file.truncate(path.stat().st_size - len(cut))
    for line in lines:
        fields = json.loads(line)
        yield _KINDS[fields.pop("kind")](**fields)


def _line(entry: Entry) -> bytes:
    fields = {"kind": type(entry).__name__.lower(), **asdict(entry)}
    return json.dumps(fields).encode() + b"\n"
