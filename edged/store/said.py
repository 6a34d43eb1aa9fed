"""What `state` says of the store: who answers for what runs, what is installed, what is tried.

In:  the register, the configuration, the resident model.     Out: tables for JSON.
Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from edged.config import Config
from edged.engine.frames import Ready
from edged.store.about import Kind
from edged.store.chosen import takes
from edged.store.register import Choice, Record, Register

# `shipped`: pinned in the installed code; `signed`: by a key or certificate of this board's choice.
Answerable = Literal["shipped", "signed", "unsigned"]


def model_said(ready: Ready, register: Register, shipped: Collection[str]) -> dict[str, Any]:
    """Return the resident model; by its digest, so that it is the one that runs."""
    table = {"name": ready.name, "digest": ready.digest}
    choices = (
        [register.active] if register.trial is None else [register.active, register.trial.choice]
    )
    for record in (register.record("model", choice) for choice in choices):
        if record is not None and ready.digest == _digest(record):
            return {**table, "trust": trust_of(record), "version": record.version}
    is_own = ready.backend == "sim" or ready.digest in shipped
    return {**table, "trust": "shipped" if is_own else "unsigned", "version": None}


def templates_trust(config: Config, register: Register) -> Answerable:
    """Return who answers for the templates in force."""
    model = register.record("model", register.active) if takes(config, "model") else None
    templates = register.record("templates", register.active)
    if templates is not None and takes(config, "templates"):
        return trust_of(templates)
    if not takes(config, "templates"):
        return "unsigned"
    if model is not None:
        return trust_of(model)
    return "shipped" if takes(config, "model") else "unsigned"


def store_said(register: Register) -> dict[str, Any]:
    """Return what is active, what is tried, and what became of the last trial."""
    trial, last = register.trial, register.last
    return {
        "model": _active("model", register, register.active),
        "templates": _active("templates", register, register.active),
        "trial": None
        if trial is None
        else {"kind": trial.kind, "title": trial.title, "by": trial.by},
        "last": None
        if last is None
        else {
            "kind": last.kind,
            "title": last.title,
            "by": last.by,
            "state": last.state,
            "detail": last.detail,
        },
    }


def trust_of(record: Record) -> Answerable:
    """Return who answers for a bundle."""
    return "unsigned" if record.signer is None else "signed"


def _active(kind: Kind, register: Register, choice: Choice) -> dict[str, Any] | None:
    record = register.record(kind, choice)
    if record is None:
        return None
    slot = choice.model if kind == "model" else choice.templates
    return {"slot": slot, "name": record.name, "version": record.version, "signer": record.signer}


def _digest(record: Record) -> str | None:
    return None if record.model_file is None else f"sha256:{record.files[record.model_file]}"
