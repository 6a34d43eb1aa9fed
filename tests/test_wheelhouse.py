"""tools/build-wheelhouse brings what the board needs, and says in a sentence what it cannot bring.

Method: real pip, on folders of tiny wheels in place of an index. The compiled wheel and the true
index are tried by `tools/test-arm64`, which installs from such a folder alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from edged.engine.processor import noted_features
from tests.package_fixtures import wheel
from tools.wheelhouse.build import build_tag, compiling, fetch, need_compiler, recipe
from tools.wheelhouse.cli import complete, main
from tools.wheelhouse.listing import manifest, requirements
from tools.wheelhouse.targets import TARGETS, Target, WheelhouseError, platform_tags
from tools.wheelhouse.wheels import (
    Wheel,
    check_machine,
    environment,
    read_wheel,
    unmet,
    wheels_in,
)

ROOT = Path(__file__).parent.parent
ARM, AMD = TARGETS["arm64"], TARGETS["amd64"]
EACH_TARGET = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


def needs_of(folder: Path, root: str, target: str = "arm64", python: str = "3.11") -> list[str]:
    there = environment(TARGETS[target], python)
    return [str(need) for need in unmet(Requirement(root), wheels_in(folder), there)]


def elf(machine: int) -> bytes:
    return b"\x7fELF".ljust(18, b"\0") + machine.to_bytes(2, "little")


@contextmanager
def index_in(folder: Path) -> Iterator[Path]:
    """Let pip take a folder for all packages of the world."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        folder.mkdir()
        yield folder


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Path]:
    with index_in(tmp_path / "index") as folder:
        yield folder


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What is fetched for an arm64 of Debian 12 where there are wheels for others too."""
    folder = tmp_path_factory.mktemp("fetched")
    with index_in(folder / "index") as index:
        for machine in ("x86_64", "aarch64"):
            wheel(index, "one", tag=f"cp311-cp311-manylinux_2_28_{machine}")
        wheel(index, "two", "1.0", tag="cp311-abi3-manylinux_2_17_aarch64")
        wheel(index, "two", "2.0", tag="cp311-abi3-manylinux_2_39_aarch64")
        fetch([Requirement("one"), Requirement("two")], folder / "house", ARM, "3.11")
    return {path.name for path in (folder / "house").iterdir()}


class TestWhatIsLacking:
    def test_nothing_lacks_where_all_is_there(self, tmp_path: Path) -> None:
        wheel(tmp_path, "edged", needs=["one>=1", "two"])
        wheel(tmp_path, "one", needs=["two<2"])
        wheel(tmp_path, "two")
        assert needs_of(tmp_path, "edged") == []

    def test_what_a_dependency_needs_lacks_too(self, tmp_path: Path) -> None:
        wheel(tmp_path, "edged", needs=["one"])
        wheel(tmp_path, "one", needs=["two>=3"])
        assert needs_of(tmp_path, "edged") == ["two>=3"]

    def test_a_version_that_is_too_old_lacks(self, tmp_path: Path) -> None:
        wheel(tmp_path, "edged", needs=["one>=2"])
        wheel(tmp_path, "one", "1.9")
        assert needs_of(tmp_path, "edged") == ["one>=2"]

    def test_an_extra_is_needed_where_it_is_asked_for(self, tmp_path: Path) -> None:
        wheel(tmp_path, "edged", needs=["one; extra == 'dev'"])
        assert needs_of(tmp_path, "edged") == []
        assert needs_of(tmp_path, "edged[dev]") == ['one; extra == "dev"']

    def test_a_circle_of_dependencies_ends(self, tmp_path: Path) -> None:
        wheel(tmp_path, "edged", needs=["one[x]"])
        wheel(tmp_path, "one", needs=["edged", "one[x]; extra == 'x'"])
        assert needs_of(tmp_path, "edged") == []

    @pytest.mark.parametrize(
        ("target", "python", "is_needed"),
        [
            ("arm64", "3.11", True),
            ("arm64-v8.0", "3.12", True),
            ("arm64", "3.13", False),
            ("amd64", "3.11", False),
        ],
    )
    def test_rockchips_toolkit_is_needed_where_it_exists(
        self, target: str, python: str, is_needed: bool, tmp_path: Path
    ) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        wheel(tmp_path, "edged", needs=project["dependencies"])
        lacking = needs_of(tmp_path, "edged", target, python)
        assert any(need.startswith("rknn-toolkit-lite2") for need in lacking) == is_needed
        assert any(need.startswith("llama-cpp-python==") for need in lacking)

    def test_two_wheels_of_one_project_are_refused(self, tmp_path: Path) -> None:
        wheel(tmp_path, "one", "1.0")
        wheel(tmp_path, "one", "2.0")
        with pytest.raises(WheelhouseError, match="do not agree on a version"):
            wheels_in(tmp_path)

    def test_a_file_that_is_no_wheel_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "one-1.0-py3-none-any.whl").write_bytes(b"<html>")
        with pytest.raises(WheelhouseError, match=r"one-1.0-py3-none-any.whl is no wheel"):
            wheels_in(tmp_path)


class TestFetching:
    def test_the_targets_wheel_is_taken_and_not_this_machines(self, fetched: set[str]) -> None:
        taken = {name for name in fetched if name.startswith("one-")}
        assert taken == {"one-1.0-cp311-cp311-manylinux_2_28_aarch64.whl"}

    def test_a_wheel_for_a_newer_glibc_is_not_taken(self, fetched: set[str]) -> None:
        taken = {name for name in fetched if name.startswith("two-")}
        assert taken == {"two-1.0-cp311-abi3-manylinux_2_17_aarch64.whl"}

    def test_what_has_no_wheel_for_the_target_is_named(self, index: Path, tmp_path: Path) -> None:
        wheel(index, "one", tag="cp311-cp311-manylinux_2_28_x86_64")
        with pytest.raises(WheelhouseError, match=r"No matching distribution found for one"):
            fetch([Requirement("one>=1")], tmp_path / "house", ARM, "3.11")

    def test_what_only_the_target_needs_comes_in_a_round_of_its_own(
        self, index: Path, tmp_path: Path
    ) -> None:
        marker = "platform_machine == 'riscv64'"
        odd = Target("odd", "riscv64", 243, "riscv64-linux-gnu", "g++-riscv64-linux-gnu", ())
        wheel(tmp_path / "house", "edged", needs=["one"])
        wheel(index, "one", needs=[f"two; {marker}"])
        wheel(index, "two")
        wheels = complete(Requirement("edged"), tmp_path / "house", odd, "3.11")
        assert sorted(one.name for one in wheels) == ["edged", "one", "two"]


class TestRefusing:
    def test_an_unknown_target_is_told_the_known_ones(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["arm"]) == 1
        assert "unknown target 'arm': choose one of arm64, arm64-v8.0" in capsys.readouterr().err

    @EACH_TARGET
    def test_a_missing_compiler_is_named_with_its_package(
        self, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(WheelhouseError, match=re.escape(f"apt-get install {target.package}")):
            need_compiler(target)

    def test_a_library_of_another_machine_is_found(self, tmp_path: Path) -> None:
        good = read_wheel(wheel(tmp_path, "good", library=elf(183)))
        bad = read_wheel(wheel(tmp_path, "bad", library=elf(62)))
        check_machine([good], ARM)
        with pytest.raises(WheelhouseError, match=r"bad-1.0-\S+ holds bad/one.so for .* 62"):
            check_machine([good, bad], ARM)

    def test_a_machine_without_python_is_told_so(self, tmp_path: Path) -> None:
        done = subprocess.run(
            ["bash", str(ROOT / "tools/build-wheelhouse"), "arm64"],
            env={"PATH": "/usr/bin:/bin", "PYTHON": str(tmp_path / "python3")},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, "needs python3 3.11 or newer" in done.stderr) == (1, True)


class TestListing:
    def lists(self, folder: Path) -> list[Wheel]:
        wheel(folder, "one")
        wheel(folder, "two", "2.5")
        (folder / "requirements.txt").write_text(requirements(wheels_in(folder).values()))
        return list(wheels_in(folder).values())

    def pip(self, folder: Path, target: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", "."]
        command += ["--require-hashes", "--requirement", "requirements.txt"]
        command += ["--target", str(target)]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True)

    def test_pip_installs_what_is_listed(self, tmp_path: Path) -> None:
        self.lists(tmp_path / "house")
        done = self.pip(tmp_path / "house", tmp_path / "there")
        assert done.returncode == 0, done.stderr
        assert {path.name for path in (tmp_path / "there").iterdir()} >= {"one", "two"}

    def test_pip_refuses_a_file_that_changed(self, tmp_path: Path) -> None:
        self.lists(tmp_path / "house")
        wheel(tmp_path / "house", "one", library=b"something else")
        done = self.pip(tmp_path / "house", tmp_path / "there")
        assert (done.returncode, "DO NOT MATCH THE HASHES" in done.stderr) == (1, True)

    def test_the_manifest_tells_each_file_and_how_it_was_compiled(self, tmp_path: Path) -> None:
        one, two = self.lists(tmp_path)
        told = json.loads(manifest([one, two], ARM, "3.11", ["dev"]))
        assert told["wheels"][one.path.name] == {
            "bytes": one.path.stat().st_size,
            "sha256": one.sha256,
        }
        assert (told["machine"], told["cmake"]) == ("aarch64", list(ARM.cmake))


class TestTargets:
    @EACH_TARGET
    def test_ggml_does_not_look_at_the_processor_that_compiles(self, target: Target) -> None:
        flags = compiling({"CMAKE_ARGS": "-DGGML_NATIVE=ON"}, target)["CMAKE_ARGS"].split()
        assert [flag for flag in flags if "NATIVE" in flag] == ["-DGGML_NATIVE=OFF"]

    def test_the_engine_reads_back_what_the_build_tag_notes(self) -> None:
        assert noted_features(f"Build: {build_tag(ARM)}\n") == ARM.features

    def test_another_version_or_setting_is_another_build(self) -> None:
        targets = [ARM, TARGETS["arm64-v8.0"], AMD, replace(ARM, features=())]
        needs = [Requirement(f"llama-cpp-python=={version}") for version in ("1", "2")]
        assert len({recipe(need, target) for need in needs for target in targets}) == 8

    def test_wheels_of_debian_12_are_taken_and_of_nothing_newer(self) -> None:
        tags = platform_tags(ARM)
        assert ("manylinux_2_36_aarch64" in tags, "manylinux_2_37_aarch64" in tags) == (True, False)
        assert all(tag.endswith("_aarch64") for tag in tags)
        assert all(tag.endswith("_x86_64") for tag in platform_tags(AMD))
