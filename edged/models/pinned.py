"""What ships with edged needs no signature: its digests stand in the installed code.

In:  the folder of a shipped model.     Out: nothing, or the file that is not as it was released.
The model's own file is named with its digest by `model.toml`, which is pinned here, and compared by
the engine. `python -m tools.pin_models` writes the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from edged.errors import ConfigError

# SHA-256 and path, as sha256sum writes them.
_SUMS: Mapping[str, str] = {
    "dock-mini": """e31c3f177e81167a0e8574772c58c0b81cf9a70aa7e48cfcba6a7bf2f61fe193  model.toml
e717136b3ac28a705d6fe63d544aeaee87f19b524de79f0dc854aba33a3fe91f  templates/cold-chain.toml
e31e5763fcb2994966e5a6a5106cdd4eebf2f73d30f443efa4c9e403a4f266a6  templates/dock-event.toml
eb52f05c2129228f483fe2eaa01e7eee6ddfdee1a1d9a59bf2e3cee22cbd869c  templates/label-read.toml
d0d1aa3c3fa7c18230cf7b907f2a045c0c18c50fbca4dcb6fd0cd79254067acf  templates/maintenance-note.toml
019daff80f77a6e5283b5f93526270e551667486c2a3809a5c42e2ef67d45f2d  templates/stock-question.toml
f384ed42c44d1c3798a3ebcf8aa852599f5bc183b47e2ed22d2e2879d3a53447  calibration.json""",
}


def check_pinned(name: str, folder: Path) -> None:
    """Refuse a shipped model whose description, templates or calibration were changed.

    Raises:
        ConfigError: names the file.
    """
    pins = PINNED.get(name, {})
    there = {
        path.relative_to(folder).as_posix(): path
        for pattern in ("model.toml", "templates/*.toml", "calibration.json")
        for path in folder.glob(pattern)
    }
    for file in sorted(pins.keys() | there.keys()):
        if file not in there or _sha256(there[file]) != pins.get(file):
            raise ConfigError(
                f"{folder / file}: this is not what ships with edged; install edged again. A model "
                "or templates of your own go by model.folder, model.templates_dir or edged model "
                "install"
            )


def _pins() -> dict[str, dict[str, str]]:
    """Return model -> path -> SHA-256."""
    lines = {name: [line.split("  ") for line in sums.split("\n")] for name, sums in _SUMS.items()}
    return {name: {file: digest for digest, file in pairs} for name, pairs in lines.items()}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


PINNED: Mapping[str, Mapping[str, str]] = _pins()
