"""Writes `edged/models/pinned.py`: the digests of what ships beside the shipped models' files.

In: edged/models/NAME/.  Out: the module. Run it after a change of a template, of the calibration or
of model.toml: `python -m tools.pin_models`. A test fails until then.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "edged" / "models"
_MARK = "_SUMS: Mapping[str, str] = "


def pins(models: Path = MODELS) -> dict[str, dict[str, str]]:
    """Return model -> path -> SHA-256 of the files that decide what a shipped model does."""
    return {
        about.parent.name: {
            path.relative_to(about.parent).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (about, *sorted(about.parent.glob("templates/*.toml")), *_tables(about))
        }
        for about in sorted(models.glob("*/model.toml"))
    }


def _tables(about: Path) -> list[Path]:
    """Return the calibration; the model's own file is named by model.toml, which is pinned."""
    return sorted(about.parent.glob("calibration.json"))


def written(text: str, found: dict[str, dict[str, str]]) -> str:
    """Return the module's text with these digests in it."""
    front, _, rest = text.partition(_MARK)
    _, _, back = rest.partition("}\n")
    tables = "".join(f'    "{name}": """{_sums(table)}""",\n' for name, table in found.items())
    return f"{front}{_MARK}{{\n{tables}}}\n{back}"


def _sums(table: dict[str, str]) -> str:
    """Return digests and paths, as sha256sum writes them."""
    return "\n".join(f"{digest}  {path}" for path, digest in table.items())


def main() -> int:
    """Write the module."""
    target = MODELS / "pinned.py"
    target.write_text(written(target.read_text(encoding="utf-8"), pins()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
