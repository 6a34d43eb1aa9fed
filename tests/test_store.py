"""The store: what comes into a slot, what is refused, what is active, and the way back."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from edged.config import Config, Model, Node
from edged.config import Store as StoreTable
from edged.errors import ConfigError, StoreRefused
from edged.models.installed import SHIPPED, find_model, templates_dir
from edged.models.pinned import PINNED, check_pinned
from edged.site import site_of
from edged.store.bundle import Piece, sha256_of
from edged.store.chosen import in_force
from edged.store.engine_start import start_of
from edged.store.register import STARTS_MAX, Choice, Register, Slot
from edged.store.register_file import RegisterFile
from edged.store.signature import Trust
from edged.store.slots import PART, differences, fill
from edged.store.store import Store, Whom
from tests.store_fixtures import (
    NOW,
    WEIGHTS,
    Signer,
    bundle_in,
    model_folder,
    new_authority,
    new_signer,
    sign,
    templates_folder,
    trusting,
)
from tools.pin_models import pins

UNSIGNED = Whom(Trust(), allow_unsigned=True)


def quiet(name: str) -> None:
    """Take the names of files that are copied."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


@pytest.fixture
def signer() -> Signer:
    return new_signer()


@pytest.fixture
def signed(tmp_path: Path, signer: Signer) -> Whom:
    """A board that believes the signer alone."""
    return Whom(trusting(tmp_path, signer))


def installed(store: Store, folder: Path, trust: Trust | None = None) -> Slot:
    """Install a bundle."""
    return store.install(bundle_in(folder, trust), quiet)


def activated(store: Store, slot: Slot, whom: Whom = UNSIGNED) -> Register:
    """Make a slot of models active, as after a trial that served."""
    store.propose("model", slot, whom, "test")
    return store.commit()


def settings(store: Store, *, allow_unsigned: bool = True, model: Model | None = None) -> Config:
    """Return the configuration of the store's board."""
    return Config(
        node=Node(state_dir=store.state_dir),
        model=model or Model(),
        store=StoreTable(allow_unsigned=allow_unsigned),
    )


def test_a_bundle_comes_whole_into_the_free_slot(store: Store, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "one")
    assert installed(store, folder) == "a"
    assert (store.folder("model", "a") / "own.gguf").read_bytes() == WEIGHTS
    record = store.file.read().slots["model"]["a"]
    assert (record.name, record.version, record.signer) == ("own", 1, None)
    assert differences(store.folder("model", "a"), record.files) == []


def test_the_active_slot_is_never_written(store: Store, tmp_path: Path) -> None:
    activated(store, installed(store, model_folder(tmp_path / "one", 1)))
    slots = [installed(store, model_folder(tmp_path / f"v{n}", n)) for n in (2, 3, 4)]
    assert slots == ["b", "b", "b"]


def test_a_signed_bundle_is_verified_in_its_slot(
    store: Store, tmp_path: Path, signer: Signer, signed: Whom
) -> None:
    folder = sign(model_folder(tmp_path / "one"), signer)
    slot = installed(store, folder, signed.trust)
    record = store.verify("model", slot, signed)
    assert record.signer is not None
    assert "model.sig" in record.files


def test_an_unsigned_bundle_is_refused_unless_allowed(tmp_path: Path, signed: Whom) -> None:
    with pytest.raises(StoreRefused, match=r"store\.allow_unsigned = true"):
        bundle_in(model_folder(tmp_path / "one"), signed.trust)


def test_unsigned_templates_are_refused_unless_allowed(tmp_path: Path, signed: Whom) -> None:
    with pytest.raises(StoreRefused, match=r"store\.allow_unsigned = true"):
        bundle_in(templates_folder(tmp_path / "one"), signed.trust)


def test_a_tampered_byte_of_the_model_does_not_come_onto_the_board(
    store: Store, tmp_path: Path, signer: Signer, signed: Whom
) -> None:
    folder = sign(model_folder(tmp_path / "one"), signer)
    weights = bytearray(WEIGHTS)
    weights[4000] ^= 1
    (folder / "own.gguf").write_bytes(weights)
    with pytest.raises(StoreRefused, match=r"own\.gguf: its SHA-256"):
        installed(store, folder, signed.trust)
    assert store.file.read().slots.get("model", {}) == {}
    assert not list(store.state_dir.rglob("own.gguf*"))


def test_a_tampered_description_is_refused(tmp_path: Path, signer: Signer, signed: Whom) -> None:
    folder = sign(model_folder(tmp_path / "one"), signer)
    text = (folder / "model.toml").read_text().replace("version = 1", "version = 9")
    (folder / "model.toml").write_text(text)
    with pytest.raises(StoreRefused, match="not the file that was signed"):
        bundle_in(folder, signed.trust)


def test_a_byte_that_changes_in_the_slot_is_found(
    store: Store, tmp_path: Path, signer: Signer, signed: Whom
) -> None:
    slot = installed(store, sign(model_folder(tmp_path / "one"), signer), signed.trust)
    weights = store.folder("model", slot) / "own.gguf"
    weights.write_bytes(WEIGHTS[:-1] + b"!")
    with pytest.raises(StoreRefused, match=r"own\.gguf was changed"):
        store.verify("model", slot, signed)
    with pytest.raises(StoreRefused, match=r"own\.gguf was changed"):
        store.propose("model", slot, signed, "test")


def test_what_is_not_signed_is_not_copied(
    store: Store, tmp_path: Path, signer: Signer, signed: Whom
) -> None:
    folder = sign(model_folder(tmp_path / "one"), signer)
    (folder / "more.toml").write_text("x = 1")
    slot = installed(store, folder, signed.trust)
    assert not (store.folder("model", slot) / "more.toml").exists()


def test_a_file_that_the_signature_names_must_be_there(
    store: Store, tmp_path: Path, signer: Signer, signed: Whom
) -> None:
    folder = sign(model_folder(tmp_path / "one"), signer)
    (folder / "own.gguf").unlink()
    with pytest.raises(StoreRefused, match=r"own\.gguf"):
        installed(store, folder, signed.trust)


def test_a_key_that_was_taken_away_activates_nothing(
    store: Store, tmp_path: Path, signer: Signer, signed: Whom
) -> None:
    slot = installed(store, sign(model_folder(tmp_path / "one"), signer), signed.trust)
    with pytest.raises(StoreRefused, match=r"not in store\.keys"):
        store.propose("model", slot, Whom(Trust()), "test")


def test_a_certificate_that_expired_since_does_not_stop_what_it_signed(
    store: Store, tmp_path: Path
) -> None:
    authority = new_authority()
    whom = Whom(Trust(authorities=(authority.write(tmp_path / "ca.pem"),)))
    folder = sign(model_folder(tmp_path / "one"), authority.issue("Release"))
    slot = installed(store, folder, whom.trust)
    later = NOW + timedelta(days=3650)
    with pytest.raises(StoreRefused, match="expired"):
        store.verify("model", slot, whom, later)
    record = store.file.read().slots["model"][slot]
    moved = replace(record, installed_s=NOW.timestamp())
    store.file.change(lambda now: now.with_record("model", slot, moved))
    assert store.propose("model", slot, whom, "test").title == "own version 1"


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


def test_a_half_written_slot_is_none(store: Store, tmp_path: Path) -> None:
    activated(store, installed(store, model_folder(tmp_path / "one", 1)))
    installed(store, model_folder(tmp_path / "two", 2))
    cut = bundle_in(model_folder(tmp_path / "three", 3, weights=b"other"))
    (tmp_path / "three" / "own.gguf").write_bytes(b"oth")
    with pytest.raises(StoreRefused):
        store.install(cut, quiet)
    assert (store.folder("model", "b") / "model.toml").exists()
    with pytest.raises(StoreRefused, match="holds no whole bundle"):
        store.propose("model", "b", UNSIGNED, "test")


def test_an_installation_that_was_killed_goes_on_where_it_ended(
    store: Store, tmp_path: Path
) -> None:
    large = b"".join(number.to_bytes(4, "big") for number in range(3_000_000))
    folder = model_folder(tmp_path / "one", weights=large)
    part = store.folder("model", "a") / f"own.gguf{PART}"
    part.parent.mkdir(parents=True)
    part.write_bytes(large[:7_000_000])
    inode, begun_s = part.stat().st_ino, part.stat().st_mtime_ns
    assert installed(store, folder) == "a"
    target = store.folder("model", "a") / "own.gguf"
    assert target.stat().st_ino == inode
    assert target.stat().st_mtime_ns > begun_s
    assert target.read_bytes() == large
    assert not part.exists()


def test_a_part_of_another_file_is_written_over(store: Store, tmp_path: Path) -> None:
    part = store.folder("model", "a") / f"own.gguf{PART}"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"something else, and longer" * 1000)
    slot = installed(store, model_folder(tmp_path / "one"))
    assert (store.folder("model", slot) / "own.gguf").read_bytes() == WEIGHTS


def test_what_is_there_already_is_not_copied_again(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "one")
    copied: list[str] = []
    pieces = bundle_in(folder).pieces
    fill(tmp_path / "slot", pieces, copied.append)
    fill(tmp_path / "slot", pieces, copied.append)
    assert sorted(copied) == ["model.toml", "own.gguf"]


def test_what_another_bundle_left_goes(tmp_path: Path) -> None:
    slot = tmp_path / "slot"
    (slot / "templates").mkdir(parents=True)
    (slot / "templates" / "old.toml").write_text("old")
    (slot / "link").symlink_to("/etc/passwd")
    fill(slot, bundle_in(model_folder(tmp_path / "one")).pieces, quiet)
    assert sorted(path.name for path in slot.rglob("*")) == ["model.toml", "own.gguf"]


def test_what_the_disk_cannot_hold_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(shutil.disk_usage(tmp_path).free + 2**20)  # of nothing
    with pytest.raises(StoreRefused, match="make room"):
        fill(tmp_path / "slot", [Piece("own.gguf", "00" * 32, huge)], quiet)
    assert list((tmp_path / "slot").iterdir()) == []


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Let this process write no longer file: the kernel's refusal is that of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_in_the_middle_leaves_what_goes_on_later(
    store: Store, tmp_path: Path
) -> None:
    folder = model_folder(tmp_path / "one", weights=b"w" * 3_000_000)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with files_of_at_most(2_000_000), pytest.raises(StoreRefused, match="the disk took no more"):
        installed(store, folder)
    signal.signal(signal.SIGXFSZ, before)
    part = store.folder("model", "a") / f"own.gguf{PART}"
    assert 0 < part.stat().st_size <= 2_000_000
    assert installed(store, folder) == "a"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_small_disk_takes_no_large_model(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine mounts nothing")
    try:
        folder = model_folder(tmp_path / "one", weights=b"w" * 3_000_000)
        with pytest.raises(StoreRefused, match="make room"):
            installed(Store(disk), folder)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_two_installations_at_once_are_one(store: Store, tmp_path: Path) -> None:
    bundle = bundle_in(model_folder(tmp_path / "one"))

    def second(name: str) -> None:
        with pytest.raises(StoreRefused, match="is installing"):
            store.install(bundle, quiet)

    store.install(bundle, second)


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


def test_a_register_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text("{")
    with pytest.raises(ConfigError, match="move it away"):
        RegisterFile(tmp_path).read()


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
