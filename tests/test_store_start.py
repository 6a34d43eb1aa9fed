"""What a start loads: the slot on trial or in force, what is configured, or what ships, pinned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edged.config import Config, Model, Node
from edged.config import Store as StoreTable
from edged.errors import ConfigError
from edged.models.installed import SHIPPED, find_model, templates_dir
from edged.models.pinned import PINNED, check_pinned
from edged.site import site_of
from edged.store.bundle import sha256_of
from edged.store.chosen import in_force
from edged.store.engine_start import start_of
from edged.store.register import STARTS_MAX
from edged.store.store import Store
from tests.store_fixtures import UNSIGNED, activated, installed, model_folder, templates_folder
from tests.store_fixtures import store as store
from tools.pin_models import pins


def settings(store: Store, *, allow_unsigned: bool = True, model: Model | None = None) -> Config:
    """Return the configuration of the store's board."""
    return Config(
        node=Node(state_dir=store.state_dir),
        model=model or Model(),
        store=StoreTable(allow_unsigned=allow_unsigned),
    )


def test_a_load_that_ends_the_engine_is_tried_so_often_and_no_more(
    store: Store, tmp_path: Path
) -> None:
    slot = installed(store, model_folder(tmp_path / "one"))
    store.propose("model", slot, UNSIGNED, "test")
    config = settings(store)
    loaded = [start_of(config, tries=True).config.model.folder for _ in range(STARTS_MAX + 1)]
    assert loaded == [store.folder("model", slot)] * STARTS_MAX + [None]
    trial = store.file.read().trial
    assert trial is not None
    assert trial.problem == "the engine ended 2 times while it loaded own version 1"


def test_an_engine_of_a_command_tries_nothing(store: Store, tmp_path: Path) -> None:
    store.propose("model", installed(store, model_folder(tmp_path / "one")), UNSIGNED, "test")
    assert start_of(settings(store), tries=False).config.model.folder is None
    trial = store.file.read().trial
    assert trial is not None
    assert trial.starts == 0


def test_a_slot_that_was_tampered_with_since_is_not_loaded_on_trial(
    store: Store, tmp_path: Path
) -> None:
    slot = installed(store, model_folder(tmp_path / "one"))
    store.propose("model", slot, UNSIGNED, "test")
    (store.folder("model", slot) / "model.toml").write_text("file = 'other.gguf'")
    assert start_of(settings(store), tries=True).config.model.folder is None
    trial = store.file.read().trial
    assert trial is not None
    assert "model.toml was changed" in (trial.problem or "")


def test_the_active_model_is_the_configured_one_s_in_the_place(
    store: Store, tmp_path: Path
) -> None:
    slot = installed(store, model_folder(tmp_path / "one"))
    activated(store, slot)
    found = find_model(in_force(settings(store)).model)
    assert found.path == store.folder("model", slot) / "own.gguf"
    assert found.name == "own"
    assert found.digest == f"sha256:{sha256_of(tmp_path / 'one' / 'own.gguf')}"


def test_what_the_configuration_names_by_path_goes_before_the_store(
    store: Store, tmp_path: Path
) -> None:
    activated(store, installed(store, model_folder(tmp_path / "one")))
    for model in (Model(path=tmp_path / "m.gguf"), Model(folder=tmp_path / "one")):
        assert in_force(settings(store, model=model)).model == model


def test_active_templates_are_those_that_devices_see(store: Store, tmp_path: Path) -> None:
    installed(store, templates_folder(tmp_path / "t"))
    store.propose("templates", None, UNSIGNED, "test")
    store.commit()
    assert list(site_of(in_force(settings(store))).templates) == ["dock-number"]


def test_a_template_that_was_added_to_a_slot_stops_the_start(store: Store, tmp_path: Path) -> None:
    slot = installed(store, templates_folder(tmp_path / "t"))
    store.propose("templates", None, UNSIGNED, "test")
    store.commit()
    (store.folder("templates", slot) / "templates" / "more.toml").write_text("")
    with pytest.raises(ConfigError, match=r"more\.toml does not belong there"):
        in_force(settings(store))


def test_unsigned_is_not_run_once_it_is_not_allowed(store: Store, tmp_path: Path) -> None:
    activated(store, installed(store, model_folder(tmp_path / "one")))
    with pytest.raises(ConfigError, match=r"store\.allow_unsigned = false"):
        in_force(settings(store, allow_unsigned=False))


def test_what_runs_from_the_shipped_folder_is_pinned_in_the_code() -> None:
    assert pins() == PINNED, "run: python -m tools.pin_models"


@pytest.mark.parametrize("name", ["model.toml", "templates/dock-event.toml", "calibration.json"])
def test_a_shipped_file_that_was_changed_is_refused(tmp_path: Path, name: str) -> None:
    for file in PINNED["dock-mini"]:
        target = tmp_path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((SHIPPED / "dock-mini" / file).read_bytes())
    check_pinned("dock-mini", tmp_path)
    with (tmp_path / name).open("a") as changed:
        changed.write(" ")
    with pytest.raises(ConfigError, match=name):
        check_pinned("dock-mini", tmp_path)


def test_a_template_beside_the_shipped_ones_is_refused(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "mine.toml").write_text("")
    with pytest.raises(ConfigError, match="not what ships"):
        check_pinned("other", tmp_path)


def test_a_folder_of_ones_own_needs_no_pins(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "one")
    assert find_model(Model(folder=folder)).path == folder / "own.gguf"
    assert templates_dir(Model(folder=folder)) is None


def test_a_start_without_a_signature_to_look_at_loads_no_cryptography() -> None:
    code = (
        "import sys, edged.daemon, edged.store.engine_start; print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
