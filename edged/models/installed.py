"""Which model file the configuration means, what belongs to it, and what it is.

In:  `[model]` of the configuration.     Out: `Installed`: path, format table, known answer; the
file's digest. A shipped model is a folder `edged/models/NAME/` with one GGUF and a `model.toml`,
each small file of which has to be the one that edged was released with; `model.folder` is another.
Does not know: tokens, the engine.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.config import Model
from edged.errors import ConfigError, EngineUnusable
from edged.models.pinned import PINNED, check_pinned

SHIPPED = Path(__file__).parent
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """A prompt in a template's three pieces, its schema, and the one right answer."""

    root: str
    payload: str
    suffix: str
    schema: str
    answer: str


@dataclass(frozen=True, slots=True)
class Installed:
    """A model on this machine.

    Attributes:
        form: the table of its format file; None: the GGUF's own chat template is asked.
        form_origin: the file that table is from.
        canary: None when nobody wrote one.
        digest: what the file's digest has to be; None for a file of the user's own.
    """

    name: str
    path: Path
    form: Mapping[str, Any] | None
    form_origin: Path
    canary: KnownAnswer | None
    digest: str | None = None


def find_model(model: Model) -> Installed:
    """Return the model that the configuration means.

    Raises:
        EngineUnusable: there is no such file.
        ConfigError: its format file or model.toml is wrong, or not as it was released.
    """
    if model.path is not None:
        if not model.path.is_file():
            raise EngineUnusable(f"{model.path}: there is no such model file (model.path)")
        return Installed(model.path.stem, model.path, *_form(model, {}, model.path), None)
    folder = _folder(model)
    if folder is None:
        raise EngineUnusable("no model: give model.name, model.folder or model.path")
    origin = folder / "model.toml"
    if not origin.is_file():
        raise EngineUnusable(
            f"{folder}: no model.toml in it; give model.name one that ships with edged, "
            "model.folder a folder with a model.toml, or model.path a GGUF file"
        )
    about = _table(origin)
    path, digest = folder / str(about.get("file")), f"sha256:{about.get('sha256')}"
    if not path.is_file():
        raise EngineUnusable(f"{path}: the model file is missing; install it again")
    form = _form(model, about, origin)
    name = str(about.get("name") or folder.name)
    return Installed(name, path, *form, _canary(about, folder), digest)


def shipped_digests() -> frozenset[str]:
    """Return the digests of the model files that ship with edged."""
    tables = (_table(SHIPPED / name / "model.toml") for name in PINNED)
    return frozenset(f"sha256:{table.get('sha256')}" for table in tables)


def templates_dir(model: Model) -> Path | None:
    """Return the folder of the model's templates; None when there is none.

    Raises:
        ConfigError: a file of the shipped ones is not as it was released.
    """
    if model.templates_dir is not None or model.path is not None:
        return model.templates_dir
    folder = _folder(model)
    if folder is None or (model.folder is not None and not (folder / "templates").is_dir()):
        return None
    return folder / "templates"


def _folder(model: Model) -> Path | None:
    """Return the folder of the model's description; None where the configuration names none.

    Raises:
        ConfigError: a file of a shipped one is not as it was released.
    """
    if model.folder is not None or model.name is None:
        return model.folder
    folder = SHIPPED / model.name
    check_pinned(model.name, folder)
    return folder


def _form(
    model: Model, about: dict[str, Any], origin: Path
) -> tuple[Mapping[str, Any] | None, Path]:
    if model.format is None:
        return about.get("format"), origin
    table = _table(model.format)
    return table.get("format", table), model.format


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error


def _canary(about: dict[str, Any], folder: Path) -> KnownAnswer | None:
    """Return `[canary]`: a template of this model, an input and its one right answer."""
    table = about.get("canary")
    if table is None:
        return None
    try:
        template = _table(folder / "templates" / f"{table['template']}.toml")
        (variable,) = template["variables"]
        payload = template["payload"].replace("{" + variable + "}", table["input"])
        pieces = (template["root"], payload, template["suffix"])
        return KnownAnswer(*pieces, template["schema"], table["expected"])
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{folder}/model.toml: canary: {error!r}") from error


def file_digest(path: Path, state_dir: Path) -> str:
    """Return `sha256:` and the hash of a file, remembered while size, time and inode stay.

    Raises:
        EngineUnusable: the file cannot be read.
    """
    try:
        facts = path.stat()
        seen = [facts.st_size, facts.st_mtime_ns, facts.st_ino]
        known = _remembered(state_dir / "digests.json")
        entry = known.get(str(path))
        if entry is not None and entry[:3] == seen:
            return str(entry[3])
        digest = _sha256(path)
    except OSError as error:
        raise EngineUnusable(f"{path}: the model file cannot be read: {error}") from error
    known[str(path)] = [*seen, digest]
    _remember(state_dir / "digests.json", known)
    return digest


def _sha256(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_READ_BYTES):
            hashed.update(part)
    return f"sha256:{hashed.hexdigest()}"


def _remembered(path: Path) -> dict[str, list[Any]]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # lost or torn: it is only a cache
    is_ours = isinstance(known, dict) and all(
        isinstance(entry, list) and len(entry) == 4 for entry in known.values()
    )
    return known if is_ours else {}


def _remember(path: Path, known: dict[str, list[Any]]) -> None:
    try:
        path.write_text(json.dumps(known), encoding="utf-8")
    except OSError:
        return  # the next start hashes again
