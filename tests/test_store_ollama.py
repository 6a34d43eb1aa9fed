"""Models out of Ollama's store: found by their names, whole, and unsigned."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from edged.__main__ import main
from edged.errors import StoreRefused
from edged.models.installed import SHIPPED
from edged.store.ollama import MODEL_LAYER, bundle_in, names
from edged.store.store import Store
from tools.board_processes import write_config

GGUF = (SHIPPED / "dock-mini" / "dock-mini.gguf").read_bytes()
CONFIG = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "", "size": 2}
ADAPTER = "application/vnd.ollama.image.adapter"


def blob(store: Path, content: bytes) -> str:
    """Write a blob; return its digest."""
    digest = hashlib.sha256(content).hexdigest()
    (store / "blobs").mkdir(parents=True, exist_ok=True)
    (store / "blobs" / f"sha256-{digest}").write_bytes(content)
    return f"sha256:{digest}"


def layer(kind: str, digest: str) -> dict[str, Any]:
    """Return a layer of a manifest."""
    return {"mediaType": kind, "digest": digest, "size": 1}


def manifest(store: Path, *layers: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest as Ollama writes it."""
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": CONFIG,
        "layers": [*layers, layer("application/vnd.ollama.image.license", blob(store, b"free"))],
    }


def write(store: Path, path: str, content: dict[str, Any]) -> None:
    """Write the manifest of a name."""
    target = store / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(content))


@pytest.fixture
def ollama(tmp_path: Path) -> Path:
    """A store with one model."""
    store = tmp_path / "ollama"
    content = manifest(store, layer(MODEL_LAYER, blob(store, GGUF)))
    write(store, "manifests/registry.ollama.ai/library/mini/latest", content)
    write(store, "manifests/hf.co/someone/mini/q4_0", content)
    return store


@pytest.mark.parametrize(
    "name", ["mini", "mini:latest", "library/mini", "registry.ollama.ai/library/mini:latest"]
)
def test_a_model_is_found_as_ollama_calls_it(ollama: Path, name: str) -> None:
    bundle = bundle_in(ollama, name, version=3)
    assert bundle.signer is None
    assert bundle.about.version == 3
    assert bundle.about.sha256 == hashlib.sha256(GGUF).hexdigest()
    assert bundle.about.file is not None
    assert bundle.about.file.endswith(".gguf")


def test_a_model_of_another_registry_is_found_with_its_host(ollama: Path) -> None:
    assert bundle_in(ollama, "hf.co/someone/mini:q4_0", 1).about.name == "hf.co-someone-mini-q4_0"


def test_the_models_are_listed_by_their_short_names(ollama: Path) -> None:
    assert names(ollama) == ["hf.co/someone/mini:q4_0", "mini:latest"]


def test_a_name_that_is_not_there_lists_those_that_are(ollama: Path) -> None:
    with pytest.raises(StoreRefused, match=r"there are: .*mini:latest"):
        bundle_in(ollama, "large", 1)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b/c/d", "", ":", "mini:../x"])
def test_no_name_leads_out_of_the_store(ollama: Path, name: str) -> None:
    with pytest.raises(StoreRefused, match="give a model as Ollama does"):
        bundle_in(ollama, name, 1)


def test_a_damaged_blob_is_refused(ollama: Path) -> None:
    path = ollama / "blobs" / f"sha256-{hashlib.sha256(GGUF).hexdigest()}"
    path.write_bytes(GGUF[:-1] + b"!")
    with pytest.raises(StoreRefused, match="damaged"):
        bundle_in(ollama, "mini", 1)


def test_a_missing_blob_is_refused(ollama: Path) -> None:
    (ollama / "blobs" / f"sha256-{hashlib.sha256(GGUF).hexdigest()}").unlink()
    with pytest.raises(StoreRefused, match="missing; pull the model again"):
        bundle_in(ollama, "mini", 1)


def test_a_model_with_an_adapter_is_refused(ollama: Path) -> None:
    layers = (layer(MODEL_LAYER, blob(ollama, GGUF)), layer(ADAPTER, blob(ollama, b"lora")))
    write(ollama, "manifests/registry.ollama.ai/library/tuned/latest", manifest(ollama, *layers))
    with pytest.raises(StoreRefused, match="without adapters"):
        bundle_in(ollama, "tuned", 1)


def test_what_is_no_gguf_is_refused(ollama: Path) -> None:
    content = manifest(ollama, layer(MODEL_LAYER, blob(ollama, b"safetensors")))
    write(ollama, "manifests/registry.ollama.ai/library/other/latest", content)
    with pytest.raises(StoreRefused, match=r"other: .*GGUF"):
        bundle_in(ollama, "other", 1)


def test_a_list_of_manifests_leads_to_the_one_for_llama_cpp(ollama: Path) -> None:
    child = manifest(ollama, layer(MODEL_LAYER, blob(ollama, GGUF)))
    listed = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.ollama.manifest.list.v2+json",
        "manifests": [
            manifest(ollama, layer(MODEL_LAYER, "sha256:" + "00" * 32)) | {"runner": "mlx"},
            {"digest": blob(ollama, json.dumps(child).encode()), "runner": "ollama"},
        ],
    }
    write(ollama, "manifests-v2/registry.ollama.ai/library/both/latest", listed)
    assert bundle_in(ollama, "both", 1).about.sha256 == hashlib.sha256(GGUF).hexdigest()


def test_a_broken_manifest_is_named(ollama: Path) -> None:
    path = ollama / "manifests/registry.ollama.ai/library/mini/latest"
    path.write_text("{")
    with pytest.raises(StoreRefused, match=r"latest: cannot be read"):
        bundle_in(ollama, "mini", 1)


def test_an_import_fills_the_free_slot_where_unsigned_is_allowed(
    ollama: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "board").mkdir()
    config = write_config(tmp_path / "board", store={"allow_unsigned": True})
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama))
    assert main(["model", "import", "mini", "--config", str(config)]) == 0
    assert "signed by nobody: unsigned, stands in slot a" in capsys.readouterr().out
    folder = Store(tmp_path / "board").folder("model", "a")
    assert (folder / "mini.gguf").read_bytes() == GGUF


def test_an_import_without_a_name_lists_the_models_of_a_store(
    ollama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    assert main(["model", "import", "--from", str(ollama), "--config", str(config)]) == 0
    assert "mini:latest" in capsys.readouterr().out.splitlines()


def test_an_import_is_refused_where_unsigned_is_not_allowed(
    ollama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    assert main(["model", "import", "mini", "--from", str(ollama), "--config", str(config)]) == 1
    assert "store.allow_unsigned = true" in capsys.readouterr().err
