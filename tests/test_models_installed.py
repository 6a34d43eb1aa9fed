from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from edged.config import Model
from edged.errors import ConfigError, EngineUnusable
from edged.models.installed import file_digest, find_model


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.gguf"
    path.write_bytes(b"weights")
    return path


def test_the_digest_is_the_hash_of_the_file(file: Path, tmp_path: Path) -> None:
    assert file_digest(file, tmp_path) == sha256(b"weights")


def test_the_digest_is_remembered_while_the_file_stays(file: Path, tmp_path: Path) -> None:
    file_digest(file, tmp_path)
    before = file.stat()
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_digest(file, tmp_path) == sha256(b"weights")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert file_digest(file, tmp_path) == sha256(b"WEIGHTS")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b'{"a": [1]}', b"\xff"])
def test_a_torn_memory_of_digests_is_hashed_over(
    file: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "digests.json").write_bytes(content)
    assert file_digest(file, tmp_path) == sha256(b"weights")


def test_where_digests_cannot_be_kept_they_are_still_right(file: Path, tmp_path: Path) -> None:
    assert file_digest(file, tmp_path / "nowhere") == sha256(b"weights")


def test_a_path_takes_the_place_of_the_name(file: Path) -> None:
    found = find_model(Model(path=file))
    assert (found.name, found.path, found.form, found.canary) == ("some", file, None, None)


def test_a_format_file_may_have_its_keys_at_the_top_or_in_a_table(
    file: Path, tmp_path: Path
) -> None:
    for text in ('answer = "A"', '[format]\nanswer = "A"'):
        (tmp_path / "f.toml").write_text(text)
        assert find_model(Model(path=file, format=tmp_path / "f.toml")).form == {"answer": "A"}


def test_a_format_file_that_is_not_toml_is_named(file: Path, tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text("= 4")
    with pytest.raises(ConfigError, match=r"f\.toml"):
        find_model(Model(path=file, format=tmp_path / "f.toml"))


def test_the_shipped_model_has_its_file_its_format_and_a_known_answer() -> None:
    found = find_model(Model())
    assert found.path.stat().st_size <= 6_000_000
    assert found.digest == sha256(found.path.read_bytes())
    assert found.form is not None
    assert set(found.form) >= {"roles", "answer"}
    assert found.canary is not None
    assert found.canary.answer.startswith("{")


@pytest.mark.parametrize(
    "model",
    [Model(name="no-such-model"), Model(path=Path("/no/such.gguf")), Model(name=None)],
    ids=["name", "path", "neither"],
)
def test_a_model_that_is_not_there_is_refused_by_name(model: Model) -> None:
    with pytest.raises(EngineUnusable, match=r"model"):
        find_model(model)
