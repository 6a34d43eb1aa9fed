"""The store: what is active, what is tried in its place, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.errors import ConfigError, StoreRefused
from edged.store.register import Choice
from edged.store.register_file import RegisterFile
from edged.store.store import Store
from tests.store_fixtures import (
    UNSIGNED,
    activated,
    installed,
    model_folder,
    templates_folder,
)
from tests.store_fixtures import store as store


def test_the_active_slot_is_never_written(store: Store, tmp_path: Path) -> None:
    activated(store, installed(store, model_folder(tmp_path / "one", 1)))
    slots = [installed(store, model_folder(tmp_path / f"v{n}", n)) for n in (2, 3, 4)]
    assert slots == ["b", "b", "b"]


def test_an_older_version_than_was_active_is_refused(store: Store, tmp_path: Path) -> None:
    activated(store, installed(store, model_folder(tmp_path / "new", 7)))
    with pytest.raises(StoreRefused, match="older than version 7"):
        installed(store, model_folder(tmp_path / "old", 6))


def test_a_version_that_was_never_active_bars_nothing(store: Store, tmp_path: Path) -> None:
    installed(store, model_folder(tmp_path / "new", 7))
    assert installed(store, model_folder(tmp_path / "old", 6)) == "b"


def test_an_older_version_that_waits_in_a_slot_is_not_activated(
    store: Store, tmp_path: Path
) -> None:
    old = installed(store, model_folder(tmp_path / "old", 6))
    activated(store, installed(store, model_folder(tmp_path / "new", 7)))
    with pytest.raises(StoreRefused, match="older than version 7"):
        store.propose("model", old, UNSIGNED, "test")


def test_rolling_back_leads_to_the_older_version_that_was_active(
    store: Store, tmp_path: Path
) -> None:
    activated(store, installed(store, model_folder(tmp_path / "old", 6)))
    activated(store, installed(store, model_folder(tmp_path / "new", 7)))
    assert store.propose_rollback("model", UNSIGNED, "test").title == "own version 6"
    register = store.commit()
    assert register.active == Choice("a")
    assert register.floor("model", "own") == 7


def test_rolling_back_from_the_first_bundle_leads_to_what_is_configured(
    store: Store, tmp_path: Path
) -> None:
    activated(store, installed(store, model_folder(tmp_path / "one")))
    assert store.propose_rollback("model", UNSIGNED, "test").title == "as configured"
    assert store.commit().active == Choice()


def test_there_is_no_way_back_into_a_slot_that_was_written_since(
    store: Store, tmp_path: Path
) -> None:
    activated(store, installed(store, model_folder(tmp_path / "one", 1)))
    activated(store, installed(store, model_folder(tmp_path / "two", 2)))
    installed(store, model_folder(tmp_path / "three", 3))
    with pytest.raises(StoreRefused, match="no earlier model"):
        store.propose_rollback("model", UNSIGNED, "test")


def test_a_trial_waits_for_the_one_before_it(store: Store, tmp_path: Path) -> None:
    one = installed(store, model_folder(tmp_path / "one", 1))
    installed(store, model_folder(tmp_path / "two", 2))
    store.propose("model", one, UNSIGNED, "test")
    with pytest.raises(StoreRefused, match="is being tried"):
        store.propose("model", "b", UNSIGNED, "test")


def test_a_register_that_was_moved_away_in_a_trial_is_told(store: Store, tmp_path: Path) -> None:
    store.propose("model", installed(store, model_folder(tmp_path / "one")), UNSIGNED, "test")
    store.file.path.unlink()
    for end in (store.commit, lambda: store.fall_back("no")):
        with pytest.raises(StoreRefused, match="was changed during a trial"):
            end()


def test_what_is_active_is_not_tried_again(store: Store, tmp_path: Path) -> None:
    slot = installed(store, model_folder(tmp_path / "one", 1))
    activated(store, slot)
    with pytest.raises(StoreRefused, match="active already"):
        store.propose("model", slot, UNSIGNED, "test")


def test_a_model_with_templates_takes_the_place_of_others(store: Store, tmp_path: Path) -> None:
    installed(store, templates_folder(tmp_path / "t"))
    store.propose("templates", None, UNSIGNED, "test")
    store.commit()
    whole = model_folder(tmp_path / "m")
    templates_folder(tmp_path / "u")
    (tmp_path / "u" / "templates").rename(whole / "templates")
    register = activated(store, installed(store, whole))
    assert register.active == Choice("a", None)


def test_a_model_without_templates_leaves_them(store: Store, tmp_path: Path) -> None:
    installed(store, templates_folder(tmp_path / "t"))
    store.propose("templates", None, UNSIGNED, "test")
    store.commit()
    register = activated(store, installed(store, model_folder(tmp_path / "m")))
    assert register.active == Choice("a", "a")


def test_a_register_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text("{")
    with pytest.raises(ConfigError, match="move it away"):
        RegisterFile(tmp_path).read()
