"""What a backend's library was built against, written beside it, and whether that is ours.

In:  a library's path.     Out: `Sidecar`, or a refusal. Nothing is loaded.
A backend fills tables of function pointers. The number of that interface stayed 2 when entries came
into the middle: a library of another ggml loads, and crashes later. So the headers count.
"""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from edged.errors import EngineUnusable

# The binding that edged is pinned to, the ggml inside, and the digest of that one's headers.
# Source: llama_cpp_python-0.3.36.tar.gz, vendor/llama.cpp; ggml.h has version 0.25.3.
BINDING = "0.3.36"
GGML_COMMIT = "0c1e57098"
HEADERS = "sha256:868c3714a8ca6b758bef660ab407a2acc046d6e215f857ccdad996d741b23e9d"
BUILD_IT = "build it with `tools/build-npu-backend SOURCE RKNN_DIR` and name that in npu.library"


class Sidecar(BaseModel):
    """The file beside the library.

    Attributes:
        binding: version of llama-cpp-python.
        ggml_commit: of the ggml inside it.
        headers: digest of the headers that it was compiled with.
        library: digest of the library.
        links: libraries that were copied beside it, with their digests.
        source: name of the tree that was compiled.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    binding: str
    ggml_commit: str
    headers: str
    library: str
    links: dict[str, str]
    source: str


def sidecar_path(library: Path) -> Path:
    """Return where a library's sidecar lies."""
    return library.with_name(f"{library.name}.json")


def write_sidecar(library: Path, headers: str, links: list[Path], source: str) -> None:
    """Write down what a library was built against."""
    sidecar = Sidecar(
        binding=BINDING,
        ggml_commit=GGML_COMMIT,
        headers=headers,
        library=digest(library),
        links={link.name: digest(link) for link in links},
        source=source,
    )
    sidecar_path(library).write_text(sidecar.model_dump_json(indent=2) + "\n", encoding="utf-8")


def check_library(library: Path, installed: str | None = None) -> Sidecar:
    """Return the sidecar of a library that was built for the installed llama.cpp.

    Args:
        library: the file.
        installed: version of llama-cpp-python; None: the one of this Python.

    Raises:
        EngineUnusable: no library, none beside it, or another ggml's.
    """
    if not library.is_file():
        raise EngineUnusable(f"{library}: there is no such library (npu.library); {BUILD_IT}")
    sidecar = _read(library)
    installed = installed or metadata.version("llama-cpp-python")
    if sidecar.binding != installed or installed != BINDING:
        raise EngineUnusable(
            f"{library}: it was built for llama-cpp-python {sidecar.binding}, installed is "
            f"{installed}, and the tables of another ggml crash the process; {BUILD_IT}"
        )
    if sidecar.headers != HEADERS:
        raise EngineUnusable(
            f"{library}: it was not built with the headers of ggml {GGML_COMMIT}, and those of "
            f"another one crash the process; {BUILD_IT}"
        )
    expected = {library.name: sidecar.library, **sidecar.links}
    for name, told in expected.items():
        file = library.with_name(name)
        if not file.is_file() or digest(file) != told:
            raise EngineUnusable(
                f"{file}: it is not the file that {sidecar_path(library).name} tells of: its "
                f"digest is another one; {BUILD_IT}"
            )
    return sidecar


def _read(library: Path) -> Sidecar:
    path = sidecar_path(library)
    try:
        return Sidecar.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise EngineUnusable(
            f"{library}: nothing beside it says which ggml it was built for ({path.name} is "
            f"missing); {BUILD_IT}"
        ) from error
    except (ValueError, ValidationError) as error:
        raise EngineUnusable(f"{path}: this sidecar cannot be read; {BUILD_IT}") from error


def digest(path: Path) -> str:
    """Return `sha256:` and 64 hex digits."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
