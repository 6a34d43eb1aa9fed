"""Writes changes with backups, remembers them, and takes them back.

In: a root and the changes wanted.  Out: steps, for people and for doing.
The record is written before the files, and each file appears whole or not at all: whatever an
interruption leaves, the next run completes it, or `--revert` undoes it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from tools.firmware_config.errors import Refusal
from tools.firmware_config.plan import Block, Change, OwnFile, Undo, Words
from tools.firmware_config.settings import without_block, without_words

RECORD = PurePosixPath("var/lib/edged-firmware-config/record.json")
BACKUPS = PurePosixPath("var/backups/edged-firmware-config")
FILE_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of one changed file."""

    path: PurePosixPath  # below the root
    digest: str  # SHA-256 of what we wrote
    existed: bool  # whether there was a file before, which then has a backup
    undo: Undo


@dataclass(frozen=True, slots=True)
class Step:
    """One file, what happens to it, and its new content; None removes it."""

    path: PurePosixPath
    does: Literal["write", "restore", "keep", "same"]
    why: str
    content: bytes | None


def load(root: Path) -> dict[PurePosixPath, Entry]:
    """Return what an earlier installation changed, by path.

    Raises:
        Refusal: there is a record that cannot be read.
    """
    file = root / RECORD
    if not file.exists():
        return {}
    try:
        entries = [_entry(item) for item in json.loads(file.read_text("utf-8"))["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(f"{file} is damaged ({error}); the files before are in {BACKUPS}") from error
    return {entry.path: entry for entry in entries}


def installing(
    root: Path, changes: Sequence[Change], before: Mapping[PurePosixPath, Entry]
) -> list[Step]:
    """Return the steps to the changes; what an earlier installation changed besides is undone."""
    wanted = {change.path for change in changes}
    gone = [entry for path, entry in before.items() if path not in wanted]
    return [*reverting(root, gone), *(_step(root, change, before) for change in changes)]


def reverting(root: Path, entries: Sequence[Entry]) -> list[Step]:
    """Return the steps back to the files as they were; what was enabled last goes first."""
    return [_step_back(root, entry) for entry in reversed(entries)]


def save_for(
    root: Path, board: str, changes: Sequence[Change], before: Mapping[PurePosixPath, Entry]
) -> None:
    """Back up what will change, and remember what the changes will be; changes nothing else.

    What an earlier installation changed stays remembered, also where it is undone now.
    """
    wanted = {change.path for change in changes}
    entries = [entry for path, entry in before.items() if path not in wanted]
    for change in changes:
        earlier = before.get(change.path)
        existed = earlier.existed if earlier is not None else _backed_up(root, change.path)
        entries.append(Entry(change.path, _digest(change.content), existed, change.undo))
    text = json.dumps({"board": board, "files": [_json(entry) for entry in entries]}, indent=1)
    write(root / RECORD, f"{text}\n".encode())


def carry_out(root: Path, steps: Sequence[Step]) -> None:
    """Do what the steps say."""
    for step in steps:
        if step.does in ("keep", "same"):
            continue
        if step.content is None:
            (root / step.path).unlink(missing_ok=True)
        else:
            write(root / step.path, step.content)


def forget(root: Path) -> None:
    """Remove the record; backups stay."""
    (root / RECORD).unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """Write a file so that a power cut leaves the old one or the new one; its mode stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else FILE_MODE
    new = path.with_name(f".{path.name}.edged-new")
    with new.open("wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _step(root: Path, change: Change, before: Mapping[PurePosixPath, Entry]) -> Step:
    now, entry = _read(root / change.path), before.get(change.path)
    if now == change.content:
        return Step(change.path, "same", "is so already", None)
    if now is None:
        return Step(change.path, "write", "new", change.content)
    if entry is None:
        return Step(change.path, "write", f"changed; as it was: /{BACKUPS}", change.content)
    # After an interruption the file may still be the one before the first installation.
    ours = _digest(now) == entry.digest or now == _original(root, entry)
    if isinstance(change.undo, OwnFile) and not ours:
        why = "was edited since: kept; remove it, and it is written anew"
        return Step(change.path, "keep", why, None)
    return Step(change.path, "write", "brought up to date", change.content)


def _step_back(root: Path, entry: Entry) -> Step:
    now = _read(root / entry.path)
    original = _original(root, entry)
    if now == original:
        return Step(entry.path, "same", "is as it was", None)
    if now is None:
        return Step(entry.path, "keep", "was removed since: stays removed", None)
    if _digest(now) == entry.digest:
        why = "removed" if original is None else "as it was before"
        return Step(entry.path, "restore", why, original)
    if isinstance(entry.undo, OwnFile):
        return Step(entry.path, "keep", f"was edited since: kept; before: {BACKUPS}", None)
    text = _undone(now.decode("utf-8", "surrogateescape"), entry.undo)
    content = text.encode("utf-8", "surrogateescape")
    return Step(entry.path, "restore", "was edited since: only our part goes", content)


def _undone(text: str, undo: Words | Block) -> str:
    if isinstance(undo, Words):
        return without_words(text, undo.key, undo.words)
    return without_block(text)


def _backed_up(root: Path, path: PurePosixPath) -> bool:
    """Return whether there is a file; if so, it is backed up."""
    now = _read(root / path)
    if now is not None:
        write(root / BACKUPS / path, now)
    return now is not None


def _original(root: Path, entry: Entry) -> bytes | None:
    return _read(root / BACKUPS / entry.path) if entry.existed else None


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(entry: Entry) -> dict[str, Any]:
    common = {"path": str(entry.path), "sha256": entry.digest, "existed": entry.existed}
    if isinstance(entry.undo, Words):
        return {**common, "undo": "words", "key": entry.undo.key, "words": entry.undo.words}
    return {**common, "undo": "block" if isinstance(entry.undo, Block) else "file"}


def _entry(item: Mapping[str, Any]) -> Entry:
    undos: dict[str, Undo] = {"file": OwnFile(), "block": Block()}
    if item["undo"] == "words":
        undo: Undo = Words(item["key"], tuple(item["words"]))
    else:
        undo = undos[item["undo"]]
    return Entry(PurePosixPath(item["path"]), item["sha256"], bool(item["existed"]), undo)
