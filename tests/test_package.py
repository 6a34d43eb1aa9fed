"""The Debian package: the same bytes each time, and what dpkg is told is what the code says.

Method: the real tool and dpkg-deb, on edged's own wheel and tiny ones in place of the others.
Installing it is tried in a booted Debian: test_package_boot.py.
"""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from packaging.version import Version

from edged import config
from edged.spool.schema import SCHEMA_VERSION
from tests.device_trees import programs
from tests.firmware_roots import armbian
from tests.package_fixtures import EPOCH_S, PYTHON, build, contents_of, edged_wheel, is_whole, wheel
from tools.package.cli import main, source_date_s
from tools.package.control import SCRIPTS, control, glibc_needed
from tools.package.engine_code import engine_digest, engine_modules
from tools.package.errors import PackageError
from tools.package.site import unpack
from tools.package.tree import DOCUMENTS, ROOT, SHARE
from tools.package.version import NAMES, debian_version, release_of
from tools.package.wheels import others
from tools.wheelhouse.cli import PLACE
from tools.wheelhouse.targets import TARGETS
from tools.wheelhouse.wheels import ELF, MACHINE_AT, read_wheel

needs_dpkg = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed here"
)
EACH_SCRIPT = pytest.mark.parametrize("name", SCRIPTS)


def wheels(folder: Path) -> list[Path]:
    """Write edged's wheel, and tiny ones in place of the packages that it needs."""
    small = [wheel(folder, name, needs=needs) for name, needs in OTHERS.items()]
    return [edged_wheel(folder), *small]


# What an engine of either backend has imported when it is ready.
TELL_IMPORTED = """
import json, sys
import edged.engine.process, edged.engine.open_llama, edged.engine.open_sim
ours = [module for name, module in sys.modules.items() if name.split(".")[0] == "edged"]
print(json.dumps([module.__file__ for module in ours]))
"""
OTHERS = {"numpy": ["leaf"], "pydantic": [], "paho": [], "leaf": []}


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheels of a package."""
    return wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def package(every: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(every, tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def tree(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every file of a package."""
    folder = tmp_path_factory.mktemp("tree")
    asked("--extract", str(package), str(folder))
    return folder


def asked(*words: str) -> str:
    """Return what dpkg-deb says."""
    done = subprocess.run(["dpkg-deb", *words], capture_output=True, text=True, check=True)
    return done.stdout


@contextmanager
def other_habits() -> Iterator[None]:
    """Work as somebody else: another umask, another time zone."""
    umask, zone = os.umask(0o077), os.environ.get("TZ")
    os.environ["TZ"] = "Pacific/Kiritimati"
    try:
        yield
    finally:
        os.umask(umask)
        if zone is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = zone


@needs_dpkg
class TestBytes:
    def test_two_builds_are_the_same(
        self, every: list[Path], package: Path, tmp_path: Path
    ) -> None:
        with other_habits():
            second = build([*reversed(every)], tmp_path)
        assert package.read_bytes() == second.read_bytes()

    @pytest.mark.slow
    def test_two_compressed_builds_are_the_same(self, every: list[Path], tmp_path: Path) -> None:
        first = build(every, tmp_path / "one", compression="xz")
        with other_habits():
            second = build([*reversed(every)], tmp_path / "two", compression="xz")
        assert first.read_bytes() == second.read_bytes()

    def test_another_commit_is_another_package(
        self, every: list[Path], package: Path, tmp_path: Path
    ) -> None:
        changed = edged_wheel(tmp_path / "w", {"edged/daemon.py": "# other\n"})
        second = build([changed, *every[1:]], tmp_path)
        assert package.read_bytes() != second.read_bytes()

    def test_all_belongs_to_root_and_nobody_else_may_write(self, package: Path) -> None:
        lines = [line.split() for line in asked("--contents", str(package)).splitlines()]
        assert {owner for _, owner, *_ in lines} == {"root/root"}
        modes = {mode for mode, *_ in lines if not mode.startswith("l")}
        assert modes == {"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x"}


@needs_dpkg
class TestWhatDpkgIsTold:
    def test_the_fields_are_those_of_this_version(self, package: Path) -> None:
        told = asked("--field", str(package), "Package", "Version", "Architecture")
        assert told == "Package: edged\nVersion: 0.1.0-1\nArchitecture: amd64\n"

    def test_the_configuration_is_kept_as_the_operator_left_it(self, package: Path) -> None:
        assert asked("--info", str(package), "conffiles") == "/etc/edged/edged.toml\n"

    @EACH_SCRIPT
    def test_a_script_is_one_that_a_shell_can_read(self, name: str, package: Path) -> None:
        text = asked("--info", str(package), name)
        done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True)
        assert (done.stderr, "@" in text) == ("", False)

    def test_a_downgrade_is_judged_by_the_schema_of_the_code(self, package: Path) -> None:
        text = asked("--info", str(package), "preinst")
        assert f"\nreadonly schema={SCHEMA_VERSION}\n" in text

    def test_the_digests_are_those_of_the_files(self, package: Path, tree: Path) -> None:
        sums = asked("--info", str(package), "md5sums")
        command = ["md5sum", "--check", "--quiet"]
        done = subprocess.run(command, cwd=tree, input=sums, capture_output=True, text=True)
        assert (done.returncode, done.stdout, len(sums.splitlines()) > 100) == (0, "", True)

    @pytest.mark.parametrize(
        ("older", "newer"), [("1.0rc1", "1.0"), ("1.0.dev3", "1.0a1"), ("1.0", "1.0.post1")]
    )
    def test_versions_stand_in_dpkgs_order(self, older: str, newer: str) -> None:
        ours = [debian_version(Version(text)) for text in (older, newer)]
        command = ["dpkg", "--compare-versions", ours[0], "lt", ours[1]]
        assert subprocess.run(command, check=False).returncode == 0


class TestControl:
    @needs_dpkg
    def test_a_library_for_a_newer_system_makes_the_package_one_for_it(self, tree: Path) -> None:
        assert "libc6 (>= 2.17)" in control(contents_of([]), tree)

    def test_the_newest_glibc_that_a_library_asks_for_counts(self, tmp_path: Path) -> None:
        names = b"\0".join([b"\x7fELF", b"GLIBC_2.4", b"GLIBC_2.38", b"GLIBC_2.34", b""])
        (tmp_path / "one.so").write_bytes(names)
        (tmp_path / "two.txt").write_bytes(names.replace(b"38", b"99"))
        assert glibc_needed(tmp_path) == 38

    @needs_dpkg
    def test_two_processors_packages_exclude_each_other(self, tree: Path) -> None:
        for target, other in (("arm64", "edged-armv8.0"), ("arm64-v8.0", "edged")):
            text = control(contents_of([], target=target), tree)
            assert f"\nConflicts: {other}\nReplaces: {other}\n" in text

    def test_every_target_has_a_name(self) -> None:
        assert set(NAMES) == set(TARGETS)
        releases = {release_of(one, Version("1"), 1, EPOCH_S).file_name for one in TARGETS.values()}
        assert len(releases) == len(TARGETS)


def test_the_shipped_configuration_says_the_defaults() -> None:
    assert config.load(ROOT / "debian" / "edged.toml") == config.Config()


@needs_dpkg
class TestTree:
    @pytest.mark.parametrize("unit", ["edged.service", "edged-engine.service"])
    def test_a_unit_names_what_the_package_brings(self, unit: str, tree: Path) -> None:
        text = (tree / "usr/lib/systemd/system" / unit).read_text()
        program = (tree / "usr/bin/edged").resolve()
        assert ("=/usr/bin/edged " in text, "/opt/edged/" in text) == (True, False)
        assert (program.is_relative_to(tree), os.access(program, os.X_OK)) == (True, True)

    def test_a_page_that_a_unit_or_an_event_names_is_there(self, tree: Path) -> None:
        texts = [path.read_text() for path in (tree / "usr/lib/systemd").rglob("edged*")]
        pages = [line for text in texts for line in text.split() if line.startswith("file://")]
        assert len(pages) > 3
        assert [
            page for page in pages if not (tree / page.removeprefix("file:///")).is_file()
        ] == []

    def test_the_environment_runs_the_boards_python_and_edged(self, tree: Path) -> None:
        assert (tree / "usr/lib/edged/bin/python").readlink() == Path(f"/usr/bin/python{PYTHON}")
        site = tree / f"usr/lib/edged/lib/python{PYTHON}/site-packages"
        command = [sys.executable, "-B", "-P", "-S", "-c", "import edged; print(edged.__file__)"]
        done = subprocess.run(
            command, env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(site / "edged" / "__init__.py")


class TestFirmware:
    def test_all_of_firmware_config_is_there(self, tree: Path) -> None:
        there = sorted(path for path in (ROOT / "firmware-config").rglob("*") if path.is_file())
        names = [path.relative_to(ROOT) for path in there]
        assert len(names) > 20
        assert [name for name in names if not (tree / SHARE / name).is_file()] == []

    def test_a_board_that_has_the_package_alone_installs_it(
        self, tree: Path, tmp_path: Path
    ) -> None:
        command = [str(tree / SHARE / "tools/install-firmware-config"), "rock-5b", "--root"]
        done = subprocess.run(
            [*command, str(armbian(tmp_path, "rock-5b"))],
            cwd="/",
            env={**os.environ, **programs(), "PYTHONPATH": ""},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "boot/overlay-user/edged-ina226.dtbo").is_file()
        assert (tmp_path / "etc/udev/rules.d/70-edged-npu.rules").is_file()

    def test_every_page_of_it_that_a_document_leads_to_is_there(self, tree: Path) -> None:
        pages = [*(tree / DOCUMENTS).glob("*.md"), *(tree / DOCUMENTS / "docs").glob("*.md")]
        links = [
            page.parent / link
            for page in pages
            for link in re.findall(
                r"\]\(((?:\.\./)?firmware-config/[^)#]+)", page.read_text("utf-8")
            )
        ]
        assert len(links) > 5
        assert [link for link in links if not link.is_file()] == []


@needs_dpkg
@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
class TestRealWheels:
    """With the wheels that `tools/build-wheelhouse` made, of each target that it was run for."""

    def every(self, target: str, folder: Path) -> list[Path]:
        edged = edged_wheel(folder)
        if not is_whole(target, edged):
            pytest.skip(f"tools/build-wheelhouse {target} was not run here, or not since")
        return [edged, *others(PLACE / target)]

    def test_two_builds_are_the_same(self, target: str, tmp_path: Path) -> None:
        every = self.every(target, tmp_path / "w")
        first = build(every, tmp_path / "one", target=target)
        with other_habits():
            second = build(every, tmp_path / "two", target=target)
        assert filecmp.cmp(first, second, shallow=False)

    def test_every_library_and_program_is_one_of_the_target(
        self, target: str, tmp_path: Path
    ) -> None:
        package = build(self.every(target, tmp_path / "w"), tmp_path, target=target)
        asked("--extract", str(package), str(tmp_path))
        plain = [path for path in (tmp_path / "usr").rglob("*") if not path.is_symlink()]
        heads = [path.read_bytes()[: MACHINE_AT + 2] for path in plain if path.is_file()]
        machines = {head[MACHINE_AT:] for head in heads if head.startswith(ELF)}
        assert machines == {TARGETS[target].elf_machine.to_bytes(2, "little")}


class TestSite:
    def test_a_wheels_modules_lie_in_one_folder(self, tmp_path: Path) -> None:
        path = wheel(tmp_path / "w", "one")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("one-1.0.data/platlib/one/two.py", "")
            archive.writestr("one-1.0.data/scripts/one", "#!python")
        unpack([path], tmp_path / "site")
        found = {
            str(file.relative_to(tmp_path / "site")) for file in (tmp_path / "site/one").iterdir()
        }
        assert found == {"one/one.so", "one/two.py"}

    def test_a_library_under_several_names_is_there_once(self, tmp_path: Path) -> None:
        path = wheel(tmp_path / "w", "one")
        with zipfile.ZipFile(path, "a") as archive:
            for name in ("one/lib.so", "one/lib.so.0", "one/lib.so.0.5", "lib/lib.so"):
                archive.writestr(name, b"library")
        unpack([path], tmp_path / "site")
        plain = {file.name for file in (tmp_path / "site").rglob("lib*") if not file.is_symlink()}
        assert plain == {"lib.so.0.5"}
        assert (tmp_path / "site/one/lib.so").read_bytes() == b"library"

    @pytest.mark.parametrize(
        ("member", "why"),
        [
            ("../etc/passwd", "lies outside"),
            ("/etc/passwd", "lies outside"),
            ("one-1.0.data/data/etc/one.conf", "no place for the part 'data'"),
        ],
    )
    def test_a_wheel_that_wants_files_elsewhere_is_refused(
        self, member: str, why: str, tmp_path: Path
    ) -> None:
        path = wheel(tmp_path / "w", "one")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(member, "")
        with pytest.raises(PackageError, match=why):
            unpack([path], tmp_path / "site")

    def test_a_file_of_two_wheels_is_refused(self, tmp_path: Path) -> None:
        one, two = wheel(tmp_path / "w", "one"), wheel(tmp_path / "w", "two")
        with zipfile.ZipFile(two, "a") as archive:
            archive.writestr("one/one.so", "")
        with pytest.raises(PackageError, match=r"two-1\.0\S+ brings one/one\.so"):
            unpack([one, two], tmp_path / "site")


def digest(folder: Path, changed: str = "", library: str = "") -> str:
    """Return the engine's digest of this checkout, after a change of a module, or of a library."""
    site = folder / "site"
    left_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "edged", site / "edged", ignore=left_out)
    if changed:
        with (site / changed).open("a") as file:
            file.write("# changed\n")
    others = [
        wheel(folder / "w", name, needs=needs, library=b"changed" if name == library else b"")
        for name, needs in OTHERS.items()
    ]
    return engine_digest(site, [read_wheel(path) for path in others])


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of this checkout's engine."""
    return digest(tmp_path_factory.mktemp("before"))


class TestEngineCode:
    @needs_dpkg
    def test_a_package_tells_the_digest_of_its_engine(self, tree: Path, before: str) -> None:
        assert (tree / "usr/lib/edged/engine.sha256").read_text() == f"{before}\n"

    @pytest.mark.parametrize("module", ["daemon", "spool", "mqtt/session", "cli"])
    def test_a_change_of_the_daemon_keeps_the_engine(
        self, module: str, before: str, tmp_path: Path
    ) -> None:
        assert digest(tmp_path, f"edged/{module}.py") == before

    @pytest.mark.parametrize(
        "file", ["engine/worker.py", "config/file.py", "models/dock-mini/model.toml"]
    )
    def test_a_change_of_the_engine_changes_it(
        self, file: str, before: str, tmp_path: Path
    ) -> None:
        assert digest(tmp_path, f"edged/{file}") != before

    @pytest.mark.parametrize(("library", "is_the_engines"), [("numpy", True), ("paho", False)])
    def test_a_library_counts_where_the_engine_imports_it(
        self, library: str, is_the_engines: bool, before: str, tmp_path: Path
    ) -> None:
        assert (digest(tmp_path, library=library) != before) == is_the_engines

    def test_every_module_that_an_engine_imports_counts(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", TELL_IMPORTED],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        imported = {Path(name) for name in json.loads(done.stdout)}
        assert imported - set(engine_modules(ROOT)) == set()
        assert len(imported) > 20


def test_an_unknown_target_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["armhf"]) == 1
    assert "unknown target 'armhf': choose one of arm64" in capsys.readouterr().err


def test_a_given_time_goes_before_that_of_the_commit() -> None:
    assert source_date_s({"SOURCE_DATE_EPOCH": "1234"}) == 1234
