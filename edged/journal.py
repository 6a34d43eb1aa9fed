"""The log: records with fields for journald where it listens, text for a person everywhere else.

In:  records of `logging`, with the fields of `about`.     Out: datagrams in journald's native
protocol, or lines on stderr.
A journald that does not read costs the daemon at most `PATIENCE_S`: then lines are lost, counted.
Does not know: prompts, and what a field means.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from logging_journald import JournaldTransport, check_journal_stream

# Source: systemd's native journal protocol, "Basics".
SOCKET = Path("/run/systemd/journal/socket")
TEXT = "%(levelname)s %(name)s: %(message)s"
# A line may wait so long for journald to make room.
PATIENCE_S = 0.1
# Source: syslog(3); journald's PRIORITY.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


class Event(StrEnum):
    """What can be asked for by its MESSAGE_ID; an id keeps its meaning for ever.

    Source: made with `systemd-id128 new`; explained by systemd/edged.catalog.
    """

    ACCEPTED = "a05d03e347e447e4a46a77b766699eaf"
    REFUSED = "456e447a6c2843cd8e2fe2715e2586a5"
    REQUEUED = "c0b425c37ae14d258c5ea3b7bae9b382"
    OUTCOME = "7c23d85a3b2847da9f8e3b4339de5d2f"
    DELIVERED = "90f74abbae9a4bb08f6f5fc8e63ca77d"
    HELD_BACK = "70b4a3137aa0416abaaf6c9e2ee09236"
    MODEL_RESIDENT = "e8014c0164c6407b96e406fd66f5d628"
    ENGINE_LOST = "536b184cb37a49b9ae6315b1b4932309"
    BROKER_CONNECTED = "639b3e7305544a04bcdf11a6a61b52b2"
    BROKER_LOST = "b40c5f7b7f8848e88f1f19faae402eb5"


def about(event: Event, /, **fields: object) -> dict[str, dict[str, object]]:
    """Return the `extra` of a log call: the event, and fields by name; those of None are left out.

    A field `request_id` is `EDGED_REQUEST_ID` in the journal.
    """
    named = {f"EDGED_{name.upper()}": value for name, value in fields.items() if value is not None}
    return {"journal": {"MESSAGE_ID": event.value} | named}


def begin(level: int, socket: Path = SOCKET) -> None:
    """Log from `level` on: to journald where stderr leads to it and it listens, else as text.

    A person who runs edged in a shell sees text, also where there is a journald.
    Source: systemd.exec(5), $JOURNAL_STREAM.
    """
    # Nobody is told of a line's process and thread, which are looked up for each.
    # Source: docs.python.org, logging howto, "Optimization".
    logging.logProcesses = logging.logThreads = logging.logMultiprocessing = False
    text = logging.StreamHandler()
    text.setFormatter(logging.Formatter(TEXT))
    is_journal = check_journal_stream() and socket.exists()
    logging.basicConfig(level=level, handlers=[Journal(socket, text) if is_journal else text])


class Journal(logging.Handler):
    """Writes records to journald.

    Args:
        socket: where journald listens.
        spare: writes what journald's socket does not take.
    """

    def __init__(self, socket: Path, spare: logging.Handler) -> None:
        super().__init__()
        # Addressed by each line, so that a journald that was restarted is found again.
        self._transport = JournaldTransport(socket, connected=False)
        self._spare = spare
        self._lost = 0
        self.setFormatter(logging.Formatter())  # the message alone: the rest are fields

    def close(self) -> None:
        """Leave journald."""
        self._transport.socket.close()
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, and how many were lost before it."""
        self._transport.socket.settimeout(0 if self._lost else PATIENCE_S)
        try:
            self._transport.send(self._fields(record))
            if self._lost:
                self._transport.send(_loss(self._lost))
                self._lost = 0
        except (BlockingIOError, TimeoutError):
            # It is there and does not read; stderr leads to it too, and would wait for it.
            self._lost += 1
        except OSError:
            self._spare.handle(record)

    def _fields(self, record: logging.LogRecord) -> Iterator[tuple[str, str]]:
        yield "MESSAGE", _clean(self.format(record))
        yield "PRIORITY", str(_priority(record.levelno))
        yield "SYSLOG_IDENTIFIER", "edged"
        yield "LOGGER", record.name
        yield "CODE_FILE", _clean(record.pathname)
        yield "CODE_LINE", str(record.lineno)
        yield "CODE_FUNC", record.funcName or ""
        for name, value in getattr(record, "journal", {}).items():
            yield name, _clean(str(value))


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), _DEBUG)


def _clean(text: str) -> str:
    """Return text that can be UTF-8: a file's name may hold bytes that are not."""
    return text.encode("utf-8", "backslashreplace").decode()


def _loss(count: int) -> tuple[tuple[str, str], ...]:
    text = f"{count} lines before this one are lost: journald did not read them in time"
    return (("MESSAGE", text), ("PRIORITY", "4"), ("SYSLOG_IDENTIFIER", "edged"))
