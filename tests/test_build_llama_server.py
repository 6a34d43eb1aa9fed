"""tools/build_llama_server in a project of its own: what it says, and when it does nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What the script needs before it needs a compiler.
PROGRAMS = ("bash", "dirname", "sed", "cat", "mkdir", "nproc", "env")
PIN = '"llama-cpp-python==1.2.3",\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the script, a pin, and a PATH of its own in `path`."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/build_llama_server", tmp_path / "tools")
    (tmp_path / "pyproject.toml").write_text(PIN)
    (tmp_path / "path").mkdir()
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "path" / name).symlink_to(found)
    return tmp_path


def build(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(project / "tools/build_llama_server")],
        env={"PATH": str(project / "path")},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_machine_without_cmake_is_told_the_package(project: Path) -> None:
    done = build(project)
    assert (done.returncode, "apt-get install cmake" in done.stderr) == (1, True)


def test_a_project_without_the_pin_is_told_so(project: Path) -> None:
    (project / "pyproject.toml").write_text("[project]\n")
    done = build(project)
    assert (done.returncode, "pins no llama-cpp-python" in done.stderr) == (1, True)


def test_nothing_is_built_twice(project: Path) -> None:
    place = project / "build/llama-server"
    place.mkdir(parents=True)
    (place / "version").write_text("1.2.3\n")
    done = build(project)
    assert (done.returncode, done.stdout) == (0, "build/llama-server/llama-server\n")


def test_another_pin_is_another_build(project: Path) -> None:
    place = project / "build/llama-server"
    place.mkdir(parents=True)
    (place / "version").write_text("1.2.2\n")
    assert build(project).returncode == 1  # it goes on to ask for cmake


def test_the_pin_of_this_project_is_found() -> None:
    assert PIN.split("==")[0] in (ROOT / "pyproject.toml").read_text()
