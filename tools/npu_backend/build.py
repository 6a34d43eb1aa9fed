"""Compiles a backend's tree with edged's counter, and writes the sidecar.

In:  the tree, what it links to, the pinned ggml.     Out: `libggml-npu.so`, its runtime's libraries
beside it, its sidecar. The tree is not touched: its files are copied, and adapted there.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from edged.engine.ggml.sidecar import GGML_COMMIT, sidecar_path, write_sidecar
from tools.npu_backend.package import Refusal, headers_digest

NAME = "libggml-npu.so"
COUNTER = Path(__file__).with_name("counter.cpp")
# Where public trees have it: rk-llama.cpp and its forks.
IN_A_TREE = "ggml/src/ggml-rknpu2"
HEADER_PLACES = ("include", "libs/include", ".")
LIBRARY_PLACES = ("aarch64", "lib", "libs", ".")
# What ggml has put in front of other members since the public trees were written; all may be NULL.
# Source: ggml-backend-impl.h of ggml 0c1e57098, ggml_backend_buffer_i and ggml_backend_i.
ADDED = {
    "cpy_tensor": ("set_tensor_2d", "get_tensor_2d"),
    "cpy_tensor_async": ("set_tensor_2d_async", "get_tensor_2d_async"),
}
# What GGML_BACKEND_DL=ON would compile a backend with; and the entry that the counter takes over.
OPTIONS = (
    *("-std=c++17", "-O3", "-fPIC", "-shared", "-fopenmp", "-pthread", "-fvisibility=hidden"),
    *("-DNDEBUG", "-DGGML_BACKEND_DL", "-DGGML_BACKEND_SHARED", "-DGGML_BACKEND_BUILD"),
    *("-DGGML_SHARED", "-Dggml_backend_init=edged_tree_init"),
    *("-Wl,--no-undefined", "-Wl,-rpath,$ORIGIN"),
)
ERRORS_MAX = 8


def build(source: Path, rknn_dir: Path, ggml: Path, target: Path) -> Path:
    """Return the compiled library.

    Raises:
        Refusal: something is missing, or does not compile.
    """
    folder = _sources_folder(source)
    links = libraries(rknn_dir)
    target.mkdir(parents=True, exist_ok=True)
    target = target.resolve()
    sidecar_path(target / NAME).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as place:
        copy = _copied(folder, ggml, Path(place))
        compile_tree(copy, rknn_dir, ggml, links)
        (copy / NAME).replace(target / NAME)
    beside = [Path(shutil.copy(link, target / link.name)) for link in links]
    write_sidecar(target / NAME, headers_digest(ggml), beside, folder.name)
    return target / NAME


def _sources_folder(source: Path) -> Path:
    for folder in (source / IN_A_TREE, source):
        if any(folder.glob("*.cpp")):
            return folder
    raise Refusal(
        f"{source}: no .cpp file there and none in {IN_A_TREE}; give the tree of a ggml backend"
    )


def libraries(rknn_dir: Path) -> list[Path]:
    """Return what is to be linked: the libraries of the first folder that has any.

    Raises:
        Refusal: none of them has.
    """
    for place in LIBRARY_PLACES:
        found = sorted((rknn_dir / place).glob("lib*.so"))
        if found:
            return found
    raise Refusal(
        f"{rknn_dir}: no library there, nor in {', '.join(LIBRARY_PLACES[:3])}; give the folder "
        "librknn_api of Rockchip's rknpu2 runtime"
    )


def _copied(folder: Path, ggml: Path, place: Path) -> Path:
    """Copy the tree's files, and the headers of its own that ggml does not have."""
    copy = place / "tree"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.so*", "build"))
    for header in sorted((folder / "../../include").glob("*.h")):
        if not (ggml / "include" / header.name).exists():
            shutil.copy(header, copy)
    for path in sorted(copy.rglob("*.cpp")):
        path.write_text(adapted(path.read_text(encoding="utf-8")), encoding="utf-8")
    return copy


def adapted(text: str) -> str:
    """Return a source whose tables of functions have the members that ggml has added since.

    Public trees write them by place, with the member's name in a comment. A tree that was adapted
    already is left alone; one that is written otherwise does not compile.
    """
    for member, added in ADDED.items():
        if re.search(rf"\.{added[0]}\b", text):
            continue
        lines = "".join(rf"\g<1>/* .{name} = */ NULL,\n" for name in added)
        text = re.sub(rf"(?m)^([ \t]*)(/\*\s*\.{member}\s*=\s*\*/)", rf"{lines}\1\2", text)
    return text


def compile_tree(copy: Path, rknn_dir: Path, ggml: Path, links: list[Path]) -> None:
    """Compile the files of a folder as they are, with the counter, into `NAME` beside them.

    Raises:
        Refusal: they do not compile.
    """
    includes = [copy, ggml / "include", ggml / "src"]
    includes += [rknn_dir / place for place in HEADER_PLACES]
    command = ["g++", *OPTIONS, *[f"-I{path}" for path in includes], "-o", str(copy / NAME)]
    command += [str(COUNTER), *[str(path) for path in sorted(copy.glob("*.cpp"))]]
    # By name: a library that names itself nowhere would be looked for by the path given here.
    command += [str(_ggml_base()), *[f"-L{link.parent}" for link in links[:1]]]
    command += [f"-l:{link.name}" for link in links]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Refusal("needs g++:  apt-get install g++") from error
    if done.returncode != 0:
        lines = [
            line for line in done.stderr.splitlines() if "error" in line or "undefined" in line
        ]
        told = "\n".join(lines[:ERRORS_MAX] or done.stderr.splitlines()[-ERRORS_MAX:])
        raise Refusal(
            f"{told}\nthe tree does not compile against ggml {GGML_COMMIT}; bring it to that "
            "version, or take a tree that is"
        )


def _ggml_base() -> Path:
    """Return the library that libllama of this environment needs, which the backend needs too."""
    found = find_spec("llama_cpp")
    if found is None or found.origin is None:
        raise Refusal("llama-cpp-python is not installed here:  tools/setup")
    return Path(found.origin).parent / "lib/libggml-base.so.0"
