"""`tools/build-bundle`: one file to carry to a board without network.

In: a target, models, a key.  Out: build/bundle/NAME.tar with the package, the wheels that it is
made of, the models, the digests of it all, and a signature over every file. The same bytes each
time but for the signature, as the package itself.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tools.package.cli import PLACE as PACKAGES
from tools.package.cli import contents_for, package, parser, source_date_s
from tools.package.errors import PackageError
from tools.package.signing import Signer, sign, signer_of
from tools.package.tree import ROOT, Contents
from tools.verify_bundle import is_plain, sha256
from tools.wheelhouse.listing import MANIFEST, REQUIREMENTS, manifest, requirements
from tools.wheelhouse.targets import WheelhouseError, target_named

PLACE = ROOT / "build" / "bundle"
SUMS = "SHA256SUMS"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build a bundle; return 0, or 1 with a sentence on standard error."""
    options = parser("tools/build-bundle", "Packs edged and models for a board without network.")
    options.add_argument(
        "models", metavar="MODEL", nargs="*", type=Path, help="GGUF or .rkllm file"
    )
    options.add_argument("--key", type=Path, metavar="FILE", help="private key (PEM) that signs")
    given = options.parse_args(arguments)
    try:
        signer = None if given.key is None else signer_of(given.key)
        with contents_for(target_named(given.target), given) as contents:
            built = package(contents, PACKAGES, given.compression)
            members = chosen(built, contents, given.models)
            path = write_bundle(members, PLACE, source_date_s(os.environ), signer)
    except (PackageError, WheelhouseError) as error:
        print(f"build-bundle: {error}", file=sys.stderr)
        return 1
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB, {told(signer)}")
    return 0


def told(signer: Signer | None) -> str:
    """Return what is said of who signed."""
    if signer is None:
        return "UNSIGNED: nobody can tell it from another's; sign with --key FILE"
    return f"signed with the key {signer.name}"


def chosen(built: Path, contents: Contents, models: Iterable[Path]) -> dict[str, Path | bytes]:
    """Return the bundle's files, or what is in them, by their names in it.

    Raises:
        PackageError: a model is no file, or has a name that is taken, or that no receiver takes.
    """
    wheels = contents.wheels
    members: dict[str, Path | bytes] = {
        built.name: built,
        **{f"wheels/{one.path.name}": one.path for one in wheels},
        f"wheels/{REQUIREMENTS}": requirements(wheels).encode(),
        f"wheels/{MANIFEST}": manifest(wheels, contents.target, contents.python, ()).encode(),
    }
    for model in models:
        name = f"models/{model.name}"
        if name in members:
            raise PackageError(f"two models are called {model.name}: rename one of them")
        if not model.is_file():
            raise PackageError(f"{model}: no such file; name a GGUF or .rkllm file")
        if not is_plain(name):
            raise PackageError(f"{model.name!r}: rename it to letters, digits, _ . + ~ and -")
        members[name] = model
    return members


def write_bundle(
    members: Mapping[str, Path | bytes], place: Path, epoch_s: int, signer: Signer | None = None
) -> Path:
    """Write the bundle into `place`, named for its package, and return it.

    Raises:
        PackageError: it cannot be signed.
    """
    (package_name,) = (name for name in members if name.endswith(".deb"))
    top = package_name.removesuffix(".deb")
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=".bundle-") as scratch:
        folder = Path(scratch) / top
        lay_out(members, folder)
        if signer is not None:
            sign(folder, signer)
        packed = pack(folder, Path(scratch) / f"{top}.tar", epoch_s)
        return packed.replace(place / packed.name)


def lay_out(members: Mapping[str, Path | bytes], folder: Path) -> None:
    """Write the bundle's files below `folder`, and their digests."""
    for name, source in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            _link(source.resolve(), path)
    (folder / SUMS).write_text(sums_of(folder), encoding="utf-8")


def _link(source: Path, path: Path) -> None:
    """Give a file a second name, as models have gigabytes; copy it where that cannot be."""
    try:
        path.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, path)


def sums_of(folder: Path) -> str:
    """Return what `sha256sum --check` reads."""
    return "".join(f"{sha256(path)}  {path.relative_to(folder)}\n" for path in files(folder))


def pack(folder: Path, path: Path, epoch_s: int) -> Path:
    """Write the files of a folder into a tar and return it; owners, times and modes are set."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for source in files(folder):
            name = source.relative_to(folder.parent).as_posix()
            with source.open("rb") as file:
                archive.addfile(_entry(name, source.stat().st_size, epoch_s), file)
    return path


def files(folder: Path) -> list[Path]:
    """Return every file below a folder, in one order on all machines."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _entry(name: str, size_bytes: int, epoch_s: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size_bytes, epoch_s, 0o644
    return entry


if __name__ == "__main__":
    sys.exit(main())
