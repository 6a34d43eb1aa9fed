"""Gets wheels: compiled for the target, built from a source that is pure Python, or fetched.

In: requirements, a folder.  Out: wheel files in it. Every command is pip, with its own settings of
where packages come from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from tools.wheelhouse.targets import Target, WheelhouseError, platform_tags
from tools.wheelhouse.wheels import check_machine, plain, read_wheel

ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
# Published as source only, and pure Python: a wheel of it fits every machine.
PURE_SOURCES = frozenset({"sdnotify"})
LLAMA = "llama-cpp-python"


def build_edged(folder: Path) -> None:
    """Write edged's own wheel into the folder.

    Raises:
        WheelhouseError: pip failed.
    """
    run([*PIP, "wheel", "--quiet", "--no-deps", "--no-cache-dir", "--wheel-dir", str(folder), "."])


def build_pure(need: Requirement, folder: Path) -> None:
    """Write the wheel of a package that is published as source only.

    Raises:
        WheelhouseError: pip failed, or the package is not pure Python any more.
    """
    with tempfile.TemporaryDirectory() as scratch:
        run([*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", scratch, plain(need)])
        (built,) = Path(scratch).glob("*.whl")
        if not built.name.endswith("-none-any.whl"):
            raise WheelhouseError(
                f"{built.name} was built for this machine and not for any: {need.name} is no pure "
                "Python any more; compile it for the target, as llama-cpp-python is"
            )
        shutil.move(built, folder)


def fetch(needs: Sequence[Requirement], folder: Path, target: Target, python: str) -> None:
    """Fetch the target's wheels of packages and of what they need.

    Raises:
        WheelhouseError: one of them has no wheel for the target, or there is no network.
    """
    tags = [word for tag in platform_tags(target) for word in ("--platform", tag)]
    abis = ["--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none"]
    command = [*PIP, "download", "--quiet", "--only-binary", ":all:", "--dest", str(folder)]
    command += ["--implementation", "cp", "--python-version", python, *abis, *tags]
    # What lies there already was chosen; another version of it would not agree with it.
    command += ["--find-links", str(folder)]
    run([*command, *map(plain, needs)])


def compile_llama(need: Requirement, folder: Path, target: Target, kept: Path) -> None:
    """Write llama-cpp-python's wheel for the target, compiled here or by an earlier run.

    Raises:
        WheelhouseError: no compiler for the target, or the build failed.
    """
    place = kept / f"{target.name}-{recipe(need, target)}"
    if not place.is_dir():
        need_compiler(target)
        print(f"build-wheelhouse: compiling {plain(need)} for {target.name}: some 4 minutes")
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept, prefix=".compiling-") as scratch:
            whole = Path(scratch) / "whole"
            _compile(need, whole, target, kept / f"{target.name}.log")
            whole.rename(place)
    (built,) = place.glob("*.whl")
    shutil.copy(built, folder)


def recipe(need: Requirement, target: Target) -> str:
    """Return what tells one build from another: of what, with which settings, tagged how."""
    settings = compiling({}, target)["CMAKE_ARGS"]
    words = " ".join((plain(need), settings, build_tag(target)))
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def need_compiler(target: Target) -> None:
    """Refuse where the target's compilers are not installed.

    Raises:
        WheelhouseError: names the package.
    """
    for program in ("g++", "gcc"):
        if shutil.which(f"{target.compiler}-{program}") is None:
            raise WheelhouseError(
                f"needs {target.compiler}-{program} to compile llama-cpp-python for "
                f"{target.name}:  apt-get install {target.package}"
            )


def _compile(need: Requirement, folder: Path, target: Target, log: Path) -> None:
    # Without pip's cache: it knows no targets, and would hand out what was built for this machine.
    command = [*PIP, "wheel", "--no-deps", "--no-cache-dir", "--no-binary", LLAMA]
    command += ["--wheel-dir", str(folder), plain(need)]
    with log.open("w", encoding="utf-8") as sink:
        run(command, compiling(os.environ, target), sink.fileno(), f"the whole log: {log}")
    (built,) = folder.glob("*.whl")
    tagged = [sys.executable, "-m", "wheel", "tags", "--remove"]
    tagged += ["--platform-tag", f"linux_{target.machine}"]
    if target.features:
        tagged += ["--build", build_tag(target)]
    run([*tagged, str(built)])
    (built,) = folder.glob("*.whl")
    check_machine([read_wheel(built)], target)


def build_tag(target: Target) -> str:
    """Return the wheel's build tag, in which `edged.engine.processor` finds the features."""
    return ".".join(("1", *target.features))


def compiling(environment: Mapping[str, str], target: Target) -> dict[str, str]:
    """Return the environment in which llama-cpp-python is compiled for the target.

    Source: llama.cpp, ggml/CMakeLists.txt: GGML_NATIVE would ask the processor that compiles.
    llama-cpp-python, CMakeLists.txt: LLAVA_BUILD is a library for pictures, which edged never
    opens; it is 51 of the 178 files to compile.
    """
    settings = [
        "-DCMAKE_SYSTEM_NAME=Linux",
        f"-DCMAKE_SYSTEM_PROCESSOR={target.machine}",
        "-DGGML_NATIVE=OFF",
        "-DLLAVA_BUILD=OFF",
        *target.cmake,
    ]
    return {
        **environment,
        "CC": f"{target.compiler}-gcc",
        "CXX": f"{target.compiler}-g++",
        "CMAKE_ARGS": " ".join(settings),
        "CMAKE_BUILD_PARALLEL_LEVEL": str(len(os.sched_getaffinity(0))),
    }


def run(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    sink: int = subprocess.PIPE,
    where: str = "",
) -> None:
    """Run a command in the project's folder.

    Raises:
        WheelhouseError: it failed; with its last lines that say an error, or where its log is.
    """
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = where or "\n".join(error_lines(done.stdout or "it said nothing"))
        raise WheelhouseError(f"{' '.join(command[1:4])} failed: {said}")


def error_lines(text: str) -> list[str]:
    """Return the lines in which pip names what is wrong, or else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [line for line in lines if line.startswith("ERROR")] or lines[-1:]
