"""`tools/build-bundle`: one file to carry to a board without network.

In: a target, models.  Out: build/bundle/NAME.tar with the package, the models, and the digests of
it all. The same bytes each time, as the package itself.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tools.package.cli import build, parser, source_date_s
from tools.package.errors import PackageError
from tools.package.tree import ROOT
from tools.wheelhouse.targets import WheelhouseError, target_named

PLACE = ROOT / "build" / "bundle"
SUMS = "SHA256SUMS"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build a bundle; return 0, or 1 with a sentence on standard error."""
    options = parser("tools/build-bundle", "Packs edged and models for a board without network.")
    options.add_argument(
        "models", metavar="MODEL", nargs="*", type=Path, help="GGUF or .rkllm file"
    )
    given = options.parse_args(arguments)
    try:
        members = chosen(build(target_named(given.target), given), given.models)
        path = write_bundle(members, PLACE, source_date_s(os.environ))
    except (PackageError, WheelhouseError) as error:
        print(f"build-bundle: {error}", file=sys.stderr)
        return 1
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def chosen(package: Path, models: Iterable[Path]) -> dict[str, Path]:
    """Return the bundle's files by their names in it.

    Raises:
        PackageError: a model is no file, or two have one name.
    """
    members = {package.name: package}
    for model in models:
        name = f"models/{model.name}"
        if name in members:
            raise PackageError(f"two models are called {model.name}: rename one of them")
        if not model.is_file():
            raise PackageError(f"{model}: no such file; name a GGUF or .rkllm file")
        members[name] = model
    return members


def write_bundle(members: Mapping[str, Path], folder: Path, epoch_s: int) -> Path:
    """Write the bundle into `folder`, named for its package, and return it."""
    (package,) = (name for name in members if name.endswith(".deb"))
    top = package.removesuffix(".deb")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{top}.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, source in sorted(members.items()):
            with source.open("rb") as file:
                archive.addfile(_entry(f"{top}/{name}", source.stat().st_size, epoch_s), file)
        sums = sums_of(members).encode()
        archive.addfile(_entry(f"{top}/{SUMS}", len(sums), epoch_s), io.BytesIO(sums))
    return path


def sums_of(members: Mapping[str, Path]) -> str:
    """Return what `sha256sum --check` reads."""
    lines = []
    for name, source in sorted(members.items()):
        with source.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)


def _entry(name: str, size_bytes: int, epoch_s: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size_bytes, epoch_s, 0o644
    return entry


if __name__ == "__main__":
    sys.exit(main())
