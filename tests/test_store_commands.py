"""The commands for the store without a daemon: what they print, refuse and leave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edged.__main__ import main
from edged.store.store import Store
from tests.store_fixtures import (
    Signer,
    model_folder,
    sign,
    templates_folder,
    trusting,
)
from tests.store_fixtures import signer as signer
from tools.board_processes import write_config


@pytest.fixture
def board(tmp_path: Path, signer: Signer) -> Path:
    """The configuration of a board that believes the signer."""
    (tmp_path / "board").mkdir()
    keys = [str(path) for path in trusting(tmp_path, signer).keys]
    return write_config(tmp_path / "board", store={"keys": keys})


def run(board: Path, *words: str) -> int:
    """Run a command; return its exit code."""
    return main([*words, "--config", str(board)])


def test_a_bundle_is_installed_listed_and_verified(
    board: Path, signer: Signer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sign(model_folder(tmp_path / "bundle", 3), signer)
    assert run(board, "model", "install", str(folder), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["slot"], told["name"], told["version"]) == ("a", "own", 3)
    assert run(board, "model", "list") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("slot a: own version 3; signed by key sha256:")
    assert second == "slot b: empty"
    assert run(board, "model", "verify") == 0
    assert "slot a: own version 3: as signed" in capsys.readouterr().out


def test_a_tampered_slot_is_named_by_verify(
    board: Path, signer: Signer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(board, "model", "install", str(sign(model_folder(tmp_path / "bundle"), signer)))
    (tmp_path / "board/models/model/a/own.gguf").write_bytes(b"other")
    assert run(board, "model", "verify", "--slot", "a") == 1
    assert "own.gguf was changed" in capsys.readouterr().err


def test_an_empty_store_has_nothing_to_verify(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(board, "template", "verify") == 1
    assert "no slot holds any templates" in capsys.readouterr().err


def test_templates_are_no_model(
    board: Path, signer: Signer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sign(templates_folder(tmp_path / "bundle"), signer)
    assert run(board, "model", "install", str(folder)) == 1
    assert "the bundle has no model.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('name = "own"\nfile = "own.gguf"\n', "model.toml: version"),
        ('name = "own"\nversion = 0\n', "model.toml: version"),
        ('name = "own"\nversion = 1\n', "give file and sha256"),
        ('name = "own"\nversion = 1\nfile = "x"\nsha256 = "' + "00" * 32 + '"', "name no file"),
        ("= 1", "cannot be read as TOML"),
    ],
)
def test_a_description_that_says_too_little_is_refused(
    board: Path,
    signer: Signer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    word: str,
) -> None:
    folder = model_folder(tmp_path / "bundle")
    (folder / "model.toml").write_text(text)
    assert run(board, "model", "install", str(sign(folder, signer))) == 1
    assert word in capsys.readouterr().err


def test_an_order_without_a_daemon_is_left_for_the_next(
    board: Path, signer: Signer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(board, "model", "install", str(sign(model_folder(tmp_path / "bundle"), signer)))
    assert run(board, "model", "activate") == 0
    assert "own version 1 is tried when a daemon starts" in capsys.readouterr().out
    trial = Store(tmp_path / "board").file.read().trial
    assert trial is not None
    assert trial.title == "own version 1"
    assert run(board, "model", "list") == 0
    assert "own version 1 is being tried" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("model", "activate"), "install one first"),
        (("model", "activate", "--slot", "b"), "holds no whole bundle"),
        (("template", "rollback"), "no earlier templates"),
        (("template", "test"), "install one first"),
        (("model", "install", "/no/such/folder"), "no such folder"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(
    board: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert run(board, *words) == 1
    assert says in capsys.readouterr().err
