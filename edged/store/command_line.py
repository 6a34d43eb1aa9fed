"""The words of the commands for the store: `edged model`, `edged template`, `edged bundle`.

In:  the parser of `edged`.     Out: the same with these commands. Each imports what it needs when
it is chosen.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

_Commands = argparse._SubParsersAction  # argparse gives this class no public name


def add_store_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    """Add `model`, `template` and `bundle`."""
    model = _kind(commands, "model", "model", "models on this board: install, activate, go back")
    _add_list(model)
    _add_install(model, "a folder with model.toml and model.sig")
    _add_change(model)
    _add_import(model)
    templates = _kind(
        commands, "template", "templates", "templates on this board, changed without a new load"
    )
    _add_list(templates)
    _add_install(templates, "a folder with templates.toml, templates/ and model.sig")
    _add_test(templates)
    _add_change(templates)
    _add_verify_bundle(
        _kind(
            commands, "bundle", "bundle", "a bundle that edged is installed from without a network"
        )
    )


def _kind(
    commands: _Commands[argparse.ArgumentParser], word: str, kind: str, meaning: str
) -> _Commands[argparse.ArgumentParser]:
    parser = commands.add_parser(word, help=meaning, description=meaning)
    parser.set_defaults(kind=kind)
    return parser.add_subparsers(required=True, metavar="ACTION")


def _add(
    actions: _Commands[argparse.ArgumentParser],
    name: str,
    meaning: str,
    command: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=meaning, description=meaning)
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: every key's default")
    parser.add_argument("--json", action="store_true", help="for a machine")
    parser.set_defaults(command=command)
    return parser


def _add_list(actions: _Commands[argparse.ArgumentParser]) -> None:
    _add(actions, "list", "what stands in the slots, and what is active", _list)
    verify = _add(actions, "verify", "look at every byte and the signature of a slot", _verify)
    _add_slot(verify, "default: all that hold something")


def _add_install(actions: _Commands[argparse.ArgumentParser], meaning: str) -> None:
    install = _add(actions, "install", "copy a signed bundle into the free slot", _install)
    install.add_argument("folder", type=Path, metavar="FOLDER", help=meaning)


def _add_change(actions: _Commands[argparse.ArgumentParser]) -> None:
    activate = _add(actions, "activate", "try a slot, and keep it if it serves", _activate)
    _add_slot(activate, "default: the highest version that is not active")
    _add(actions, "rollback", "go back to what was active before", _rollback)


def _add_import(actions: _Commands[argparse.ArgumentParser]) -> None:
    meaning = "copy a GGUF out of Ollama's store into the free slot, unsigned"
    parser = _add(actions, "import", meaning, _import)
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="as Ollama calls it; left out: list them"
    )
    parser.add_argument("--from", dest="ollama", type=Path, metavar="DIR", help="Ollama's models")


def _add_test(actions: _Commands[argparse.ArgumentParser]) -> None:
    test = _add(actions, "test", "score the templates of a slot on their own set", _test)
    _add_slot(test, "default: the highest version that is not active")


def _add_verify_bundle(actions: _Commands[argparse.ArgumentParser]) -> None:
    meaning = "look at every file and the signature of an unpacked bundle"
    verify = _add(actions, "verify", meaning, _verify_bundle)
    verify.add_argument("folder", type=Path, metavar="FOLDER", help="the unpacked bundle")
    verify.add_argument(
        "--key",
        dest="keys",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="public key (PEM) of who may have signed, in place of store.keys; may come again",
    )


def _add_slot(parser: argparse.ArgumentParser, otherwise: str) -> None:
    parser.add_argument("--slot", choices=("a", "b"), help=otherwise)


def _list(given: argparse.Namespace) -> int:
    from edged.store.commands import show

    return show(given)


def _verify(given: argparse.Namespace) -> int:
    from edged.store.commands import verify

    return verify(given)


def _verify_bundle(given: argparse.Namespace) -> int:
    from edged.store.commands import verify_bundle

    return verify_bundle(given)


def _install(given: argparse.Namespace) -> int:
    from edged.store.commands import install

    return install(given)


def _activate(given: argparse.Namespace) -> int:
    from edged.store.commands import activate

    return activate(given)


def _rollback(given: argparse.Namespace) -> int:
    from edged.store.commands import roll_back

    return roll_back(given)


def _import(given: argparse.Namespace) -> int:
    from edged.store.commands import import_model

    return import_model(given)


def _test(given: argparse.Namespace) -> int:
    from edged.store.commands import test_templates

    return test_templates(given)
