"""Finds a GGUF in Ollama's store, so that a model that is there need not be fetched again.

In:  the folder of that store, a model's name.     Out: a bundle that nobody signed.
Nothing of Ollama runs, and nothing is written there. Its templates are left: edged has its own, or
asks the GGUF's.
Source: ollama/ollama, manifest/manifest.go and manifest/paths.go: manifests-v2 before manifests,
HOST/NAMESPACE/MODEL/TAG, blobs/sha256-HEX; types/model/name.go: the defaults of a short name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edged.engine.gguf_file import read_header
from edged.errors import EngineUnusable, StoreRefused
from edged.store.bundle import Bundle, Piece, bundle_of, sha256_of
from edged.store.manifest import manifest_of

ROOTS = ("manifests-v2", "manifests")
HOST, NAMESPACE, TAG = "registry.ollama.ai", "library", "latest"
MODEL_LAYER = "application/vnd.ollama.image.model"
# What is added to the model's own weights; edged would answer without it.
_ADDED = ("application/vnd.ollama.image.adapter", "application/vnd.ollama.image.projector")
_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
_LEVEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class _Layer(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    kind: str = Field(alias="mediaType")
    digest: str


class _Manifest(BaseModel):
    """A manifest; a list of them has one for each runner, or names it by its digest."""

    model_config = ConfigDict(extra="ignore", strict=True)

    layers: list[_Layer] = []
    manifests: list[_Manifest] = []
    runner: str = ""
    digest: str = ""


def store_of_ollama() -> Path:
    """Return where Ollama keeps its models on this machine: as told, the service's, or a user's."""
    told = os.environ.get("OLLAMA_MODELS")
    # Source: Ollama's install.sh: the service's user has its home there.
    places = [Path("/usr/share/ollama/.ollama/models"), Path.home() / ".ollama" / "models"]
    if told:
        return Path(told)
    return next((place for place in places if place.is_dir()), places[-1])


def names(store: Path) -> list[str]:
    """Return the models that stand there, as Ollama calls them."""
    found = {
        path.relative_to(store / root).parts
        for root in ROOTS
        for path in (store / root).glob("*/*/*/*")
    }
    return sorted(_short(*parts) for parts in found)


def bundle_in(store: Path, name: str, version: int) -> Bundle:
    """Return a model of Ollama's as a bundle of this version.

    Raises:
        StoreRefused: there is none of this name, its blob is damaged, or it is no GGUF that edged
            can run.
    """
    manifest = _read(_path(store, name))
    layers = _layers(store, manifest)
    added = [layer.kind for layer in layers if layer.kind in _ADDED]
    models = [layer for layer in layers if layer.kind == MODEL_LAYER]
    if added or len(models) != 1:
        raise StoreRefused(
            f"{name}: {len(models)} model layers and {', '.join(added) or 'no others'}; edged runs "
            "models of one GGUF without adapters and projectors"
        )
    blob, sha256 = _blob(store, models[0].digest)
    if sha256_of(blob) != sha256:
        raise StoreRefused(f"{blob}: damaged: its SHA-256 is not its name; `ollama pull {name}`")
    try:
        read_header(blob)
    except EngineUnusable as error:
        raise StoreRefused(f"{name}: {error}") from error
    return _bundle(name, version, Piece(f"{_plain(name)}.gguf", sha256, blob))


def _bundle(name: str, version: int, model: Piece) -> Bundle:
    about = (
        f'# Imported from Ollama\'s store: {name}\nname = "{_plain(name)}"\nversion = {version}\n'
        f'file = "{model.name}"\nsha256 = "{model.sha256}"\n'
    ).encode()
    text = Piece("model.toml", _sha256(about), about)
    manifest = manifest_of({piece.name: piece.sha256 for piece in (model, text)})
    return bundle_of("model", (model, text), manifest, signer=None)


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def _plain(name: str) -> str:
    """Return a name that a bundle can have."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:64]


def _path(store: Path, name: str) -> Path:
    """Return the manifest's file of [HOST/][NAMESPACE/]MODEL[:TAG]."""
    front, _, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", TAG)
    levels = front.split("/")
    full = [HOST, NAMESPACE][: 3 - len(levels)] + levels if len(levels) < 3 else levels
    if len(full) != 3 or not all(map(_LEVEL.fullmatch, (*full, tag))):
        raise StoreRefused(f"{name!r}: give a model as Ollama does, such as qwen2.5:1.5b")
    for root in ROOTS:
        path = store.joinpath(root, *full, tag)
        if path.is_file():
            return path
    known = ", ".join(names(store)) or "none"
    raise StoreRefused(f"{store}: holds no {name}; there are: {known}")


def _short(host: str, namespace: str, model: str, tag: str) -> str:
    if host != HOST:
        return f"{host}/{namespace}/{model}:{tag}"
    return f"{model}:{tag}" if namespace == NAMESPACE else f"{namespace}/{model}:{tag}"


def _layers(store: Path, manifest: _Manifest) -> list[_Layer]:
    """Return the layers of a manifest, of a list those that llama.cpp is to run."""
    if not manifest.manifests:
        return manifest.layers
    return next((found for found in _llama_layers(store, manifest) if found), [])


def _llama_layers(store: Path, manifest: _Manifest) -> Iterator[list[_Layer]]:
    for child in manifest.manifests:
        if child.runner.lower() in ("", "ollama", "llamacpp"):
            is_named = bool(child.digest) and not child.layers
            yield _read(_blob(store, child.digest)[0]).layers if is_named else child.layers


def _blob(store: Path, digest: str) -> tuple[Path, str]:
    """Return a blob's file and its SHA-256."""
    found = _DIGEST.fullmatch(digest if ":" in digest or "-" in digest else f"sha256:{digest}")
    if found is None:
        raise StoreRefused(f"{store}: {digest[:80]!r} is no digest of a blob")
    path = store / "blobs" / f"sha256-{found[1]}"
    if not path.is_file():
        raise StoreRefused(f"{path}: missing; pull the model again with Ollama")
    return path, found[1].lower()


def _read(path: Path) -> _Manifest:
    try:
        return _Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StoreRefused(
            f"{path}: cannot be read as one of Ollama's manifests: {error}"
        ) from error
