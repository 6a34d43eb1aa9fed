"""The commands for the store of this board: `edged model`, `edged template`, `edged bundle`.

In:  words of the command line.     Out: text on the terminal, an exit code; slots that are filled,
orders to the daemon.
Installing needs no daemon. What is to become active is tried by the daemon, which has the engine;
where none runs, by the next one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from edged import config
from edged.activation import whom
from edged.admin.client import asked
from edged.admin.wire import ActivateAsk, Ask, RollbackAsk, StatusAsk
from edged.errors import AdminUnreachable, StoreRefused
from edged.evaluation.run import evaluate
from edged.store.about import Kind
from edged.store.bundle import Bundle, read_bundle
from edged.store.carried import check_carried
from edged.store.chosen import with_choice
from edged.store.ollama import bundle_in, names, store_of_ollama
from edged.store.register import SLOTS, Choice, Record, Register, Slot
from edged.store.signature import Trust
from edged.store.store import Store, candidate

# The daemon looks at every byte of a bundle before it says that it is tried.
VERIFY_S_MAX = 900.0
# While a model is loaded, a small board has little time for answers.
TRIAL_S_MAX = 60.0
LOOK_S = 0.5


def show(given: argparse.Namespace) -> int:
    """Print what stands in the slots."""
    store = Store(config.load(given.config).state_dir)
    register = store.file.read()
    rows = [_row(given.kind, slot, register) for slot in SLOTS]
    if given.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        print(_line(row))
    if register.trial is not None and register.trial.kind == given.kind:
        print(f"{register.trial.title} is being tried, ordered by {register.trial.by}")
    return 0


def verify(given: argparse.Namespace) -> int:
    """Look at every byte and the signature of a slot, or of all.

    Raises:
        StoreRefused: something is not as it was installed, or not signed as it must be today.
    """
    settings = config.load(given.config)
    store = Store(settings.state_dir)
    there = store.file.read().slots.get(given.kind, {})
    slots = [given.slot] if given.slot else sorted(there)
    for slot in slots:
        record = store.verify(given.kind, slot, whom(settings), datetime.now(UTC))
        _tell(given, {"slot": slot, **_told(record)}, f"slot {slot}: {_words(record)}: as signed")
    if not slots:
        raise StoreRefused(f"no slot holds any {given.kind}; install one first")
    return 0


def verify_bundle(given: argparse.Namespace) -> int:
    """Look at every file and the signature of an unpacked bundle; nothing is installed.

    Raises:
        StoreRefused: it is not as somebody trusted signed it.
    """
    trust = Trust(keys=given.keys) if given.keys else whom(config.load(given.config)).trust
    carried = check_carried(given.folder, trust, datetime.now(UTC))
    _tell(
        given,
        {"files": dict(carried.files), "signer": carried.signer},
        f"{given.folder}: {len(carried.files)} files, each as {carried.signer} signed it",
    )
    return 0


def install(given: argparse.Namespace) -> int:
    """Copy a bundle into the free slot.

    Raises:
        StoreRefused: it does not come onto this board, and why.
    """
    settings = config.load(given.config)
    who = whom(settings)
    bundle = read_bundle(
        given.kind,
        given.folder,
        who.trust,
        datetime.now(UTC),
        allow_unsigned=who.allow_unsigned,
    )
    return _installed(given, settings, bundle)


def import_model(given: argparse.Namespace) -> int:
    """Copy a GGUF of Ollama's into the free slot, or list them.

    Raises:
        StoreRefused: there is none, it cannot run, or unsigned models are not allowed.
    """
    settings, ollama = config.load(given.config), given.ollama or store_of_ollama()
    if given.name is None:
        found = names(ollama)
        _tell(given, {"models": found}, "\n".join(found) or f"{ollama}: no models")
        return 0
    if not settings.store.allow_unsigned:
        raise StoreRefused(
            f"{given.name}: nobody signed what Ollama fetched; set store.allow_unsigned = true, or "
            "make a bundle of it and sign that (see docs/models.md)"
        )
    plain = bundle_in(ollama, given.name, version=1)
    floor = Store(settings.state_dir).file.read().floor("model", plain.about.name)
    return _installed(given, settings, bundle_in(ollama, given.name, version=floor + 1))


def activate(given: argparse.Namespace) -> int:
    """Have the daemon try a slot, and tell what became of it.

    Raises:
        AdminRefused, StoreRefused: it cannot be tried, or does not serve.
    """
    settings = config.load(given.config)
    return _ordered(given, settings, ActivateAsk(kind=given.kind, slot=given.slot))


def roll_back(given: argparse.Namespace) -> int:
    """Have the daemon go back to what was active before, and tell what became of it.

    Raises:
        AdminRefused, StoreRefused: there is nothing to go back to, or it does not serve any more.
    """
    return _ordered(given, config.load(given.config), RollbackAsk(kind=given.kind))


def test_templates(given: argparse.Namespace) -> int:
    """Score the templates of a slot on their own set, with an engine of this command's own.

    Raises:
        StoreRefused: no slot holds any.
        ConfigError: they have no set, or cannot be used.
    """
    settings = config.load(given.config)
    store = Store(settings.state_dir)
    register = store.file.read()
    slot: Slot = given.slot or candidate(register, "templates")
    store.verify("templates", slot, whom(settings))
    chosen = with_choice(settings, store, register, replace(register.active, templates=slot))
    report = evaluate(chosen, given.config, "json")
    print(report.as_json() if given.json else report.as_text())
    return 0


def _installed(given: argparse.Namespace, settings: config.Config, bundle: Bundle) -> int:
    slot = Store(settings.state_dir).install(bundle, lambda name: _copying(given, name))
    title = f"{bundle.about.name} version {bundle.about.version}"
    signer = bundle.signer or "nobody: unsigned"
    table = {"slot": slot, "name": bundle.about.name, "version": bundle.about.version}
    _tell(
        given,
        {**table, "signer": bundle.signer},
        f"{title}, signed by {signer}, stands in slot {slot}; make it active with: "
        f"edged {_word(bundle.kind)} activate",
    )
    return 0


def _copying(given: argparse.Namespace, name: str) -> None:
    if not given.json:
        print(f"copying {name}", file=sys.stderr)


def _ordered(given: argparse.Namespace, settings: config.Config, ask: Ask) -> int:
    """Order, and wait for the end of the trial."""
    try:
        asked(settings, ask, VERIFY_S_MAX)
    except AdminUnreachable as error:
        return _proposed(given, settings, ask, error)
    while True:
        state = asked(settings, StatusAsk(), TRIAL_S_MAX).state
        assert state is not None, "an answer that was not refused has the state"
        if state["store"]["trial"] is None:
            return _ended(given, state["store"]["last"])
        time.sleep(LOOK_S)


def _ended(given: argparse.Namespace, last: dict[str, Any]) -> int:
    if last["state"] == "fell_back":
        raise StoreRefused(
            f"{last['title']} does not serve, and what was active still is: {last['detail']}"
        )
    _tell(given, last, f"{last['title']} is active")
    return 0


def _proposed(
    given: argparse.Namespace, settings: config.Config, ask: Ask, error: AdminUnreachable
) -> int:
    """Leave an order for the next daemon."""
    store, by = Store(settings.state_dir), "a command"
    if isinstance(ask, ActivateAsk):
        trial = store.propose(ask.kind, ask.slot, whom(settings), by)
    else:
        trial = store.propose_rollback(given.kind, whom(settings), by)
    print(f"edged: {error}", file=sys.stderr)
    _tell(given, {"title": trial.title}, f"{trial.title} is tried when a daemon starts")
    return 0


def _row(kind: Kind, slot: Slot, register: Register) -> dict[str, Any]:
    record = register.slots.get(kind, {}).get(slot)
    table = {} if record is None else _told(record)
    return {"slot": slot, "active": _of(kind, register.active) == slot, **table}


def _told(record: Record) -> dict[str, Any]:
    return {
        "name": record.name,
        "version": record.version,
        "signer": record.signer,
        "digest": f"sha256:{record.root}",
    }


def _line(row: dict[str, Any]) -> str:
    if "name" not in row:
        return f"slot {row['slot']}: empty"
    mark = ", active" if row["active"] else ""
    signer = row["signer"] or "nobody: unsigned"
    return f"slot {row['slot']}: {row['name']} version {row['version']}{mark}; signed by {signer}"


def _words(record: Record) -> str:
    return record.title if record.signer else f"{record.title}, unsigned"


def _of(kind: Kind, choice: Choice) -> Slot | None:
    return choice.model if kind == "model" else choice.templates


def _word(kind: Kind) -> str:
    return "model" if kind == "model" else "template"


def _tell(given: argparse.Namespace, table: dict[str, Any], text: str) -> None:
    print(json.dumps(table) if given.json else text)
