"""What the store's choice makes of the configuration.

In:  the configuration, the register.     Out: the same configuration with folders of slots in it.
What the configuration names by path goes before the store: `model.path`, `model.folder`,
`model.templates_dir`. Small files are compared with what was installed; the model's own file by who
loads it.
"""

from __future__ import annotations

from edged.config import Config
from edged.errors import ConfigError
from edged.store.about import Kind
from edged.store.register import Choice, Record, Register
from edged.store.slots import differences
from edged.store.store import Store


def in_force(config: Config) -> Config:
    """Return the configuration with what is active in the store of its state directory.

    Raises:
        ConfigError: the register or a slot is not as it was left, or is unsigned and must not be.
    """
    store = Store(config.state_dir)
    register = store.file.read()
    return with_choice(config, store, register, register.active)


def with_choice(config: Config, store: Store, register: Register, choice: Choice) -> Config:
    """Return the configuration with a choice of the store in it.

    Raises:
        ConfigError: a slot is not as it was left, or is unsigned and must not be.
    """
    model = config.model
    if choice.model is not None and takes(config, "model"):
        _check(config, store, register, choice, "model")
        folder = store.folder("model", choice.model)
        model = model.model_copy(update={"folder": folder})
    if choice.templates is not None and takes(config, "templates"):
        _check(config, store, register, choice, "templates")
        templates_dir = store.folder("templates", choice.templates) / "templates"
        model = model.model_copy(update={"templates_dir": templates_dir})
    return config.model_copy(update={"model": model})


def takes(config: Config, kind: Kind) -> bool:
    """Return whether the configuration leaves the choice to the store."""
    if kind == "model":
        return config.model.path is None and config.model.folder is None
    return config.model.templates_dir is None


def _check(config: Config, store: Store, register: Register, choice: Choice, kind: Kind) -> None:
    slot = choice.model if kind == "model" else choice.templates
    record = register.record(kind, choice)
    assert slot is not None, "only a slot is checked"
    if record is None:
        raise ConfigError(
            f"{store.file.path}: slot {slot} of kind {kind} is active and has no record"
        )
    _check_signed(config, record)
    folder = store.folder(kind, slot)
    found = differences(folder, record.files, but=record.model_file)
    if found:
        raise ConfigError(
            f"{folder}: {'; '.join(found[:5])}: this is not what was installed; install "
            f"{record.title} again, or move {store.file.path} away to run what is configured"
        )


def _check_signed(config: Config, record: Record) -> None:
    if record.signer is None and not config.store.allow_unsigned:
        raise ConfigError(
            f"{record.title} is active and unsigned, and store.allow_unsigned = false; allow it, "
            "or move store.json in the state directory away to run what is configured"
        )
