"""What comes into a slot is whole and signed, however often it is begun and whatever disk it is on.

Method: bundles with a byte changed or a file too many; installations that were cut; disks that are
full.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from edged.errors import StoreRefused
from edged.store.bundle import Piece
from edged.store.signature import Trust
from edged.store.slots import PART, differences, fill
from edged.store.store import Store, Whom
from tests.store_fixtures import (
    NOW,
    UNSIGNED,
    WEIGHTS,
    Signer,
    activated,
    bundle_in,
    installed,
    model_folder,
    new_authority,
    quiet,
    sign,
    templates_folder,
    trusting,
)
from tests.store_fixtures import signer as signer
from tests.store_fixtures import store as store


@pytest.fixture
def signed(tmp_path: Path, signer: Signer) -> Whom:
    """A board that believes the signer alone."""
    return Whom(trusting(tmp_path, signer))


def test_a_bundle_comes_whole_into_the_free_slot(store: Store, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "one")
    assert installed(store, folder) == "a"
    assert (store.folder("model", "a") / "own.gguf").read_bytes() == WEIGHTS
    record = store.file.read().slots["model"]["a"]
    assert (record.name, record.version, record.signer) == ("own", 1, None)
    assert differences(store.folder("model", "a"), record.files) == []


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
