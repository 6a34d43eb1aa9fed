"""A command's side of the admin socket.

In:  the configuration, an ask.     Out: the daemon's answer. Blocking.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pydantic import ValidationError

from edged.admin.wire import ANSWER_BYTES_MAX, Answer, Ask, line_of
from edged.config import Config
from edged.errors import AdminRefused, AdminUnreachable

ANSWER_S_MAX = 10.0
# Where the units have it: a command in a shell has no $RUNTIME_DIRECTORY.
OF_THE_UNITS = Path("/run/edged/admin.sock")


def asked(config: Config, ask: Ask, wait_s: float = ANSWER_S_MAX) -> Answer:
    """Return the answer of the daemon on this board, waited for so long.

    Raises:
        AdminUnreachable: none answers, one of another board does, or this user may not connect.
        AdminRefused: it will not do what was asked.
    """
    path = socket_path(config)
    try:
        line = _exchange(path, line_of(_addressed(ask, config)), wait_s)
    except PermissionError as error:
        raise AdminUnreachable(
            f"{path}: this user may not; root and edged's user may, and its group with admin.mode "
            '= "0660"'
        ) from error
    except OSError as error:
        raise AdminUnreachable(
            f"{path}: no daemon answers there ({error}); is `edged run` up on this board, and "
            "--config the file that it runs with?"
        ) from error
    if not line:
        raise AdminUnreachable(f"{path}: the daemon hung up without an answer; see its log")
    answer = _read(path, line)
    if answer.reason == "other_board":
        raise AdminUnreachable(f"{path}: {answer.detail}")
    if answer.reason is not None:
        raise AdminRefused(answer.reason, answer.detail or "")
    return answer


def socket_path(config: Config) -> Path:
    """Return where the daemon listens: as configured, else where the units have it.

    The units' folder counts, not the socket in it, which not everybody may see.
    """
    path = config.admin_socket
    is_there = os.path.exists(path)  # noqa: PTH110 # Path's raises where a folder is closed to us
    if config.admin.socket is not None or is_there:
        return path
    return OF_THE_UNITS if OF_THE_UNITS.parent.exists() else path


def _addressed(ask: Ask, config: Config) -> Ask:
    """Name the board that is meant: where it is down, the socket of the units is asked."""
    if config.node.state_dir is None:
        return ask
    return ask.model_copy(update={"state_dir": os.path.realpath(config.node.state_dir)})


def _exchange(path: Path, line: bytes, wait_s: float) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(wait_s)
        connection.connect(str(path))
        connection.sendall(line)
        with connection.makefile("rb") as lines:
            return lines.readline(ANSWER_BYTES_MAX)


def _read(path: Path, line: bytes) -> Answer:
    try:
        return Answer.model_validate_json(line)
    except ValidationError as error:
        raise AdminUnreachable(
            f"{path}: the answer cannot be read; the daemon there is of another version: restart it"
        ) from error
