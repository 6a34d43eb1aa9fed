"""The tools do what a person on a fresh machine needs, or say in a sentence why they cannot."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.broker import free_port, programs
from tools import device_tree_programs
from tools.broker import (
    HOST,
    answers_connect,
    is_port_free,
    mosquitto_config,
    start,
    start_mosquitto,
)
from tools.broker_programs import (
    CLIENTS,
    SERVERS,
    UNPACKED,
    BrokerError,
    Programs,
    embedded,
    find,
    version,
)
from tools.debian_unpack import parse_simulation
from tools.device_tree_programs import environment

ROOT = Path(__file__).parent.parent
# What tools/setup calls of a system that every Debian has.
SETUP_NEEDS = """
    bash cat cut dirname env flock grep head mv rm sed setsid sha256sum sleep sort tail
"""


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of loopback that some other program listens on."""
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


class TestFindingABroker:
    def test_an_installed_mosquitto_comes_first(self, tmp_path: Path) -> None:
        installed = executables(tmp_path / "bin", [*SERVERS, *CLIENTS])
        found = find(tmp_path / "unpacked", [installed])
        assert found == Programs("mosquitto", "installed", (installed,))

    def test_a_broker_without_its_clients_is_completed_from_the_unpacked_ones(
        self, tmp_path: Path
    ) -> None:
        installed = executables(tmp_path / "bin", SERVERS)
        unpacked = tmp_path / "unpacked"
        assert find(unpacked, [installed]) is None
        clients = executables(unpacked / "usr" / "bin", CLIENTS)
        found = find(unpacked, [installed])
        assert found is not None
        paths = [found.path(name) for name in ("mosquitto", "mosquitto_rr")]
        assert paths == [installed / "mosquitto", clients / "mosquitto_rr"]

    def test_unpacked_programs_are_started_with_their_unpacked_libraries(
        self, tmp_path: Path
    ) -> None:
        executables(tmp_path / "usr" / "sbin", SERVERS)
        executables(tmp_path / "usr" / "bin", CLIENTS)
        libraries = executables(tmp_path / "usr" / "lib" / "any", ["libmosquitto.so.1"])
        found = find(tmp_path, [])
        assert found is not None
        assert found.environment()["LD_LIBRARY_PATH"] == str(libraries)

    def test_a_missing_client_is_named_with_its_package(self, tmp_path: Path) -> None:
        lonely = Programs("mosquitto", "installed", (tmp_path,))
        with pytest.raises(BrokerError, match=r"mosquitto_rr .* apt-get install mosquitto-clients"):
            lonely.path("mosquitto_rr")

    def test_only_packages_that_would_be_added_are_downloaded(self) -> None:
        text = "\n".join(
            [
                "NOTE: This is only a simulation!",
                "Inst libcjson1 (1.7.15-1+deb12u2 Debian:12/stable [amd64])",
                "Inst mosquitto (2.0.11-1.2+deb12u2 Debian:12/stable [amd64])",
                "Conf mosquitto (2.0.11-1.2+deb12u2 Debian:12/stable [amd64])",
            ]
        )
        assert parse_simulation(text) == ["libcjson1", "mosquitto"]

    def test_nothing_is_unpacked_outside_the_environment(self) -> None:
        assert UNPACKED.is_relative_to(ROOT / ".venv")


class TestFindingDeviceTreePrograms:
    def test_this_machines_programs_come_before_the_unpacked_ones(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        installed = executables(tmp_path / "installed", ["dtc"])
        unpacked = executables(tmp_path / "unpacked" / "usr" / "bin", ["dtc", "fdtoverlay"])
        executables(tmp_path / "unpacked" / "bin", ["udevadm"])
        monkeypatch.setenv("PATH", str(installed))
        path = environment(tmp_path / "unpacked")["PATH"]
        found = [shutil.which(name, path=path) for name in ("dtc", "fdtoverlay")]
        assert found == [str(installed / "dtc"), str(unpacked / "fdtoverlay")]

    def test_unpacked_programs_find_their_unpacked_libraries(self, tmp_path: Path) -> None:
        libraries = executables(tmp_path / "usr" / "lib" / "any", ["libfdt.so.1"])
        assert environment(tmp_path)["LD_LIBRARY_PATH"].split(":")[0] == str(libraries)

    def test_nothing_is_unpacked_outside_the_environment(self) -> None:
        assert device_tree_programs.UNPACKED.is_relative_to(ROOT / ".venv")


class TestRunningABroker:
    def test_it_listens_on_loopback_only(self, tmp_path: Path) -> None:
        config = mosquitto_config(tmp_path, 1883, [])
        assert [line for line in config if line.startswith("listener")] == [
            "listener 1883 127.0.0.1"
        ]

    def test_a_password_file_ends_anonymous_access(self, tmp_path: Path) -> None:
        config = mosquitto_config(tmp_path, 1883, ["allow_anonymous false"])
        assert [line for line in config if "anonymous" in line] == ["allow_anonymous false"]

    def test_a_server_that_is_no_broker_is_not_taken_for_one(self) -> None:
        with socket.create_server((HOST, 0)) as server:
            ssh = subprocess.Popen(
                [sys.executable, "-c", GREETER, str(server.fileno())],
                pass_fds=[server.fileno()],
            )
            assert not answers_connect(server.getsockname()[1])
            assert ssh.wait(30) == 0

    @pytest.mark.broker
    def test_a_taken_port_is_said_in_a_sentence(self, tmp_path: Path, taken_port: int) -> None:
        with pytest.raises(BrokerError, match=f"port {taken_port} .* is in use"):
            start_mosquitto(programs(), tmp_path, taken_port)

    @pytest.mark.broker
    def test_a_broker_that_ends_at_once_says_why(self, tmp_path: Path) -> None:
        with pytest.raises(BrokerError, match=r"ended at once: .*nonsense"):
            start_mosquitto(programs(), tmp_path, free_port(), ["nonsense 1"])

    @pytest.mark.broker
    def test_the_embedded_broker_carries_a_message_of_mqtt_3(self, tmp_path: Path) -> None:
        port = free_port()
        broker = start(embedded(), tmp_path, port)
        try:
            assert exchange(port, "-V", "mqttv311") == "through"
        finally:
            broker.stop()
        assert is_port_free(port)

    @pytest.mark.broker
    def test_each_broker_tells_its_version(self) -> None:
        assert [version(one).split(".")[0] for one in (programs(), embedded())] == [
            "mosquitto 2",
            "amqtt 0",
        ]


class TestSetup:
    """A copy of tools/setup, on a PATH that has only what a test puts there."""

    def test_a_machine_without_python_is_told_the_packages(self, tmp_path: Path) -> None:
        done = run_setup(tmp_path, [])
        assert (done.returncode, "apt-get install python3 python3-venv" in done.stderr) == (1, True)

    def test_a_python_that_is_too_old_is_named_with_its_version(self, tmp_path: Path) -> None:
        path = tools_path(tmp_path)
        program(path / "python3", "echo Python 3.9.2; test $1 = --version")
        done = run_setup(tmp_path, [])
        assert (done.returncode, "found Python 3.9.2" in done.stderr) == (1, True)

    def test_a_machine_without_a_compiler_is_told_the_package(self, tmp_path: Path) -> None:
        (tools_path(tmp_path) / "python3").symlink_to(sys.executable)
        done = run_setup(tmp_path, [])
        assert (done.returncode, "apt-get install g++" in done.stderr) == (1, True)

    def test_a_python_without_venv_is_told_the_package(self, tmp_path: Path) -> None:
        path = tools_path(tmp_path)
        program(path / "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
        program(path / "g++", "exit 0")
        done = run_setup(tmp_path, [])
        assert (done.returncode, "apt-get install python3-venv" in done.stderr) == (1, True)

    def test_an_unknown_option_is_refused(self, tmp_path: Path) -> None:
        done = run_setup(tmp_path, ["--quick"])
        assert (done.returncode, "unknown option --quick" in done.stderr) == (1, True)

    def test_a_failed_pip_shows_its_last_words_and_its_log(self, tmp_path: Path) -> None:
        project = finished_setup(tmp_path)
        (project / "pyproject.toml").write_text("[project]\nname = 'changed'\n")
        done = run_setup(tmp_path, [])
        log = project / ".venv" / "setup.log"
        assert (done.returncode, "pip is out" in done.stderr, str(log) in done.stderr) == (
            1,
            True,
            True,
        )

    def test_nothing_happens_when_nothing_changed(self, tmp_path: Path) -> None:
        finished_setup(tmp_path)
        done = run_setup(tmp_path, ["demo"])
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_an_extra_more_is_an_installation_more(self, tmp_path: Path) -> None:
        finished_setup(tmp_path)
        done = run_setup(tmp_path, ["bench"])
        assert "installing edged with bench,demo,dev" in done.stdout


# Greets the first caller as an SSH server does, and ends.
GREETER = """
import socket, sys
server = socket.socket(fileno=int(sys.argv[1]))
caller, _ = server.accept()
caller.sendall(b"SSH-2.0-x\\r\\n")
caller.recv(1)
"""


def executables(directory: Path, names: Sequence[str]) -> Path:
    """Make empty executable files and return their directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        program(directory / name, "")
    return directory


def program(path: Path, script: str) -> None:
    """Write a shell script that can be run."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def exchange(port: int, *options: str) -> str:
    """Return a retained message that went through a broker, by mosquitto's own clients."""
    there = ["-h", HOST, "-p", str(port), "-t", "t", *options]
    found = programs()
    say = [str(found.path("mosquitto_pub")), *there, "-q", "1", "-r", "-m", "through"]
    hear = [str(found.path("mosquitto_sub")), *there, "-C", "1", "-W", "10"]
    environment = found.environment()
    subprocess.run(say, env=environment, check=True)
    done = subprocess.run(hear, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def tools_path(directory: Path) -> Path:
    """Return the one directory of the PATH that `run_setup` gives."""
    path = directory / "path"
    path.mkdir(exist_ok=True)
    for name in SETUP_NEEDS.split():
        found = shutil.which(name)
        assert found is not None
        if not (path / name).exists():
            (path / name).symlink_to(found)
    return path


def finished_setup(directory: Path) -> Path:
    """Make a project whose environment, with dev and demo, is up to date; its pip fails."""
    project = directory / "project"
    binaries = executables(project / ".venv" / "bin", [])
    program(binaries / "python", 'if [ "$2" = pip ]; then echo pip is out; exit 1; fi')
    path = tools_path(directory)
    program(path / "g++", "exit 0")
    program(path / "python3", "exit 0")
    (project / "pyproject.toml").write_text("[project]\n")
    stamp = f"{project}\n[project]\n"
    digest = subprocess.run(["sha256sum"], input=stamp, capture_output=True, text=True, check=True)
    (project / ".venv" / "edged-setup").write_text(f"{digest.stdout.split()[0]}\ndev\ndemo\n")
    return project


def run_setup(directory: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a copy of tools/setup in a project of its own, with the PATH of `tools_path`."""
    project = directory / "project"
    (project / "tools").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "tools" / "setup", project / "tools" / "setup")
    (project / "pyproject.toml").touch()
    environment = {"PATH": str(tools_path(directory)), "HOME": os.environ.get("HOME", "/")}
    command = [str(project / "tools" / "setup"), *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
