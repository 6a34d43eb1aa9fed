"""What tools/test-arm64 takes from the guide and from unit files, and what it says.

The run itself takes minutes, root and an emulator: docs/arm64.md has its last summary.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.booted_debian import debian_root
from tools import fill_boards
from tools.arm64 import emulation, steps
from tools.arm64.cli import AFTER_THE_GUIDE, MORE_WHEELS, alone
from tools.arm64.guide import Copy, GuideError, blocks, copies
from tools.arm64.kept import keep, kept
from tools.arm64.machine import Done, Machine, child_of, running
from tools.arm64.readiness import listening, wait_until_ready
from tools.arm64.selection import (
    LEFT_OUT,
    NOT_FOR_TESTS,
    Piece,
    counts,
    in_all,
    needs,
    pieces,
    pytest_words,
)
from tools.arm64.services import Services
from tools.arm64.summary import BEGIN, END, Step, filled, table, verdict
from tools.arm64.units import (
    installs_packages,
    orders,
    reading,
    says_when_ready,
    starting,
    wanted,
)
from tools.wheelhouse.targets import TARGETS

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs/boards.md").read_text(encoding="utf-8")
REPORT = (
    '{"model": {"name": "dock-mini"}, "inside": {"prefill_tokens_per_s": 683.4},'
    ' "workloads": {"single": {"edged": 4.5}, "json-warm": {"not available": true}}}'
)


class TestGuide:
    def test_every_block_of_the_guide_says_where_it_is_tried(self) -> None:
        places = [block.place for block in blocks(GUIDE)]
        assert len(places) == GUIDE.count("```sh\n")
        assert {"run", "run with network", "on the computer", "copy", None} == set(places)

    def test_what_the_guide_runs_reaches_the_first_answer(self) -> None:
        run = "\n".join(block.script for block in blocks(GUIDE) if block.place)
        steps_there = ["build-wheelhouse", "apt-get install", "pip install", "edged check"]
        steps_there += ["systemd-sysusers", "systemctl start", "edged ask"]
        places = [run.index(words) for words in [*steps_there, "mosquitto_rr", "edged doctor"]]
        assert places == sorted(places)

    def test_the_network_is_used_for_the_systems_packages_alone(self) -> None:
        scripts = [block.script for block in blocks(GUIDE) if block.place == "run with network"]
        lines = [line for script in scripts for line in script.splitlines()]
        assert all(line.startswith("apt-get ") for line in lines)

    def test_a_block_has_its_line_its_place_and_its_script(self) -> None:
        (block,) = blocks("a\n\n<!-- arm64: run -->\n```sh\necho 1\necho 2\n```\n")
        assert (block.line, block.place, block.script) == (4, "run", "echo 1\necho 2\n")

    def test_a_block_that_is_not_run_has_its_reason(self) -> None:
        (block,) = blocks("<!-- arm64: not run: it is sad -->\n```sh\nreboot\n```\n")
        assert (block.place, block.reason) == (None, "it is sad")

    @pytest.mark.parametrize("mark", ["", "<!-- arm64: rum -->\n", "<!-- arm64: not run: -->\n"])
    def test_a_block_without_a_mark_that_means_something_is_refused(self, mark: str) -> None:
        with pytest.raises(GuideError, match="the block of commands at line"):
            blocks(f"{mark}```sh\nreboot\n```\n")

    def test_what_the_guide_copies_to_the_board_the_tool_copies(self) -> None:
        words = [word for block in blocks(GUIDE) for word in block.script.split()]
        done = [block for block in blocks(GUIDE) if block.place is not None]
        places = [block.place for block in done if "scp" in block.script]
        assert ("scp" in words, set(places)) == (True, {"copy"})
        assert all(copies(block) for block in blocks(GUIDE) if block.place == "copy")

    @pytest.mark.parametrize(
        ("line", "found"),
        [
            ("scp -r build/a.tar build/b root@BOARD:", Copy(("build/a.tar", "build/b"), "/root")),
            ("scp 'build/x_*.deb' root@BOARD:/tmp", Copy(("build/x_*.deb",), "/tmp")),
        ],
    )
    def test_a_line_of_scp_is_files_and_a_folder(self, line: str, found: Copy) -> None:
        (block,) = blocks(f"<!-- arm64: copy -->\n```sh\n{line}\n```\n")
        assert copies(block) == [found]

    @pytest.mark.parametrize("line", ["rsync a root@BOARD:", "scp a other:", "scp root@BOARD:"])
    def test_what_is_marked_as_a_copy_and_is_none_is_refused(self, line: str) -> None:
        (block,) = blocks(f"<!-- arm64: copy -->\n```sh\n{line}\n```\n")
        with pytest.raises(GuideError, match="is no scp"):
            copies(block)

    @pytest.mark.parametrize("name", ["orangepi-5", "rock-5b", "nanopi-r6s", "armsom-sige5"])
    def test_each_board_has_its_line_with_wheels_that_exist(self, name: str) -> None:
        (line,) = re.findall(rf"^\|.*\| `{name}` \|$", GUIDE, re.MULTILINE)
        (wheels,) = set(re.findall(r"`([\w.-]+)`", line)) & TARGETS.keys()
        assert bool(TARGETS[wheels].features) == ("Cortex-A76" in line or "the same cores" in line)


class TestUnits:
    @pytest.mark.parametrize(
        ("script", "found"),
        [
            (
                "systemctl daemon-reload\nsystemctl start a edged.service\n",
                ["start a", "start edged"],
            ),
            ("  sudo systemctl restart a.service  # later\n", ["restart a"]),
            ("systemctl daemon-reload && systemctl stop a; systemctl --version", ["stop a"]),
            ("systemctl enable --now \\\n    a b", ["start a", "start b"]),
            ("systemctl enable a\necho systemctl start b\n", []),
        ],
    )
    def test_what_a_script_asks_of_systemd_is_found(self, script: str, found: list[str]) -> None:
        told = [f"{order.verb} {order.name.removesuffix('.service')}" for order in orders(script)]
        assert told == found
        assert all(order.name.endswith(".service") for order in orders(script))

    @pytest.mark.parametrize(
        ("script", "does"),
        [
            ("apt-get update\napt-get install -y a", True),
            ("sudo apt install ./a.deb", True),
            ("apt-get update", False),
            (".venv/bin/pip install a\ninstall -D a b", False),
        ],
    )
    def test_a_script_that_installs_packages_is_known(self, script: str, does: bool) -> None:
        assert installs_packages(script) == does

    def test_the_daemons_unit_becomes_its_process(self) -> None:
        script = starting((ROOT / "systemd/edged.service").read_text(), "/run/x.notify")
        assert script.splitlines() == [
            "install -d -o edged /var/lib/edged",
            "install -d -o edged /run/edged",
            "exec setpriv --reuid=edged --regid=edged --init-groups env "
            "NOTIFY_SOCKET=/run/x.notify "
            "STATE_DIRECTORY=/var/lib/edged RUNTIME_DIRECTORY=/run/edged "
            "/opt/edged/.venv/bin/edged run --config /etc/edged/edged.toml",
        ]

    def test_what_comes_before_comes_before(self) -> None:
        unit = "[Service]\nExecStartPre=-/bin/mkdir /run/x\nExecStart=/bin/x -c y\n"
        assert starting(unit, "/run/x.notify").splitlines() == [
            "/bin/mkdir /run/x",
            "exec setpriv --reuid=root --regid=root --init-groups env /bin/x -c y",
        ]

    def test_the_daemons_engine_is_started_beside_it(self) -> None:
        unit = (ROOT / "systemd/edged.service").read_text()
        assert wanted(unit) == ["edged-engine.service"]
        assert says_when_ready((ROOT / "systemd/edged-engine.service").read_text())

    def test_a_service_that_says_that_it_is_ready_is_waited_for(self, tmp_path: Path) -> None:
        place = tmp_path / "x.notify"
        with listening(place) as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            for words in (b"STATUS=READY=1 soon", b"READY=1\nSTATUS=serving"):
                told.sendto(words, str(place))
            wait_until_ready(listener, "x.service", limit_s=10)
        assert not place.exists()

    def test_a_service_that_says_nothing_is_a_failure(self, tmp_path: Path) -> None:
        with (
            listening(tmp_path / "x.notify") as listener,
            pytest.raises(emulation.Arm64Error, match=r"x.service was not ready after 0 s"),
        ):
            wait_until_ready(listener, "x.service", limit_s=0.01)

    def test_a_unit_that_is_nowhere_is_a_failure(self) -> None:
        done = subprocess.run(["bash", "-euc", reading("no-such.service")], capture_output=True)
        assert (done.returncode, done.stdout) == (1, b"")


class TestSummary:
    def test_a_failed_step_stands_out(self) -> None:
        good, bad = Step("a", "1 | 2\nthree", 60), Step("b", "no", 60, is_good=False)
        assert table([good, bad], "Commit x").splitlines() == [
            "Commit x. 1 of 2 steps good, 2 min.",
            "",
            "| step | result | took |",
            "|---|---|---|",
            "| a | 1 / 2 three | 60 s |",
            "| b | **failed**: no | 60 s |",
        ]

    def test_the_summary_takes_the_place_of_the_old_one(self) -> None:
        page = f"before\n{BEGIN}\nold\n{END}\nbehind\n"
        assert filled(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nbehind\n"

    @pytest.mark.parametrize("page", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
    def test_a_page_without_one_place_for_it_is_refused(self, page: str) -> None:
        with pytest.raises(ValueError, match="once each"):
            filled(page, "new")

    def test_the_page_of_this_project_has_its_place(self) -> None:
        page = (ROOT / "docs/arm64.md").read_text(encoding="utf-8")
        assert "new" in filled(page, "new")

    def test_every_step_says_what_it_shows(self) -> None:
        assert [name for name in AFTER_THE_GUIDE if not name] == []
        assert steps.last_line(Done(0, "x\ntold: 1\ntold: 2\n"), "told:") == "told: 2"

    def test_the_last_line_counts_steps_and_names_what_an_earlier_run_did(self) -> None:
        steps_done = [Step("a", "", 60), Step("b", "", 120, is_good=False)]
        assert verdict(steps_done) == "1 of 2 steps good, 3 min"
        earlier = Step("c", "", 60, is_kept=True)
        assert "2 of 3 steps good, 1 of them by an earlier run" in verdict([*steps_done, earlier])


class TestResuming:
    def test_the_good_steps_of_a_commit_come_back(self, tmp_path: Path) -> None:
        good, bad = Step("a", "1", 60.5), Step("b", "no", 1, is_good=False)
        keep(tmp_path / "kept.json", "x", [good, bad])
        assert kept(tmp_path / "kept.json", "x") == {"a": Step("a", "1", 60.5, is_kept=True)}

    def test_another_commit_begins_anew(self, tmp_path: Path) -> None:
        keep(tmp_path / "kept.json", "x", [Step("a", "1", 60)])
        assert kept(tmp_path / "kept.json", "y") == {}

    @pytest.mark.parametrize("text", [None, "", "{"])
    def test_a_file_that_was_cut_short_is_no_earlier_run(
        self, text: str | None, tmp_path: Path
    ) -> None:
        if text is not None:
            (tmp_path / "kept.json").write_text(text)
        assert kept(tmp_path / "kept.json", "x") == {}

    def test_two_runs_do_not_share_a_root(self, tmp_path: Path) -> None:
        with (
            alone(tmp_path / "lock"),
            pytest.raises(emulation.Arm64Error, match="another run is at work"),
            alone(tmp_path / "lock"),
        ):
            pass


class TestSelection:
    def test_every_file_of_tests_is_in_one_piece_or_left_out(self) -> None:
        every = [name for piece in pieces(ROOT) for name in piece.files]
        every += [name for name in LEFT_OUT if "::" not in name]
        assert sorted(every) == sorted(
            f"tests/{path.name}" for path in ROOT.glob("tests/test_*.py")
        )

    def test_no_piece_is_much_larger_than_another(self) -> None:
        sizes = [len(piece.files) for piece in pieces(ROOT)]
        assert max(sizes) - min(sizes) <= 1

    def test_a_test_that_is_left_out_is_named_where_its_file_runs(self) -> None:
        piece = Piece(1, ("tests/test_board_use.py",))
        deselected = [word for word in pytest_words(piece, 2) if word.startswith("--deselect=")]
        assert len(deselected) == len([name for name in LEFT_OUT if "test_board_use.py::" in name])
        assert deselected

    def test_pytests_last_line_is_counted(self) -> None:
        text = "1 passed in the text\n= 1 failed, 748 passed, 2 skipped in 604.87s (0:10:04) =\n"
        assert counts(text) == {"failed": 1, "passed": 748, "skipped": 2}
        assert counts("no tests ran") == {}

    def test_the_pieces_are_summed(self) -> None:
        said = in_all(["1,748 passed, 1 skipped", "925 passed; 1 at the second try"])
        assert said.startswith("2,673 passed, 1 skipped; ")

    def test_the_tests_get_what_they_need_and_no_linters(self) -> None:
        found = needs((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        assert [need for need in found if need.startswith(NOT_FOR_TESTS)] == []
        assert [need for need in found if need.startswith("hypothesis")]
        assert ("arm64", "dev") in MORE_WHEELS


PUBLISH = "mosquitto_pub -h 127.0.0.1 -p 1883 -t a -m b"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine of this machine's own kind, with a mosquitto."""
    with running(debian_root(), tmp_path_factory.mktemp("machine")) as one:
        yield one


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts and chroot want root")
class TestServices:
    def test_a_service_that_was_started_again_is_another_process(self, machine: Machine) -> None:
        services = Services(machine)
        services.follow("systemctl start mosquitto", set())
        first = process_of(services)
        services.follow("systemctl start mosquitto", set())
        assert process_of(services) == first
        services.follow("systemctl restart mosquitto", set())
        assert process_of(services) != first
        assert machine.run(PUBLISH, name="started").code == 0
        services.follow("systemctl stop mosquitto", set())
        assert machine.run(PUBLISH, name="stopped").code != 0

    def test_a_package_starts_the_service_that_it_brings(self, machine: Machine) -> None:
        services = Services(machine)
        before = services.enabled() - {"mosquitto.service"}
        services.follow("apt-get install -y mosquitto", before)
        assert machine.run(PUBLISH, name="started").code == 0
        services.follow("systemctl stop mosquitto", set())

    def test_a_command_that_takes_too_long_is_ended_with_all_its_children(
        self, machine: Machine
    ) -> None:
        with pytest.raises(emulation.Arm64Error, match="not done after 1 s"):
            machine.run("sleep 1000 & sleep 1000", name="slow", limit_s=1)
        found = machine.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '", name="processes")
        assert "sleep 3600" in found.text
        assert "sleep 1000" not in found.text


class TestNeeds:
    def test_missing_programs_are_named_with_their_packages(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        with pytest.raises(emulation.Arm64Error, match=r"apt-get install .*debootstrap"):
            emulation.provide()

    def test_anybody_but_root_is_told_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(emulation.Arm64Error, match="needs root"):
            emulation.provide()

    @pytest.mark.parametrize("left_out", LEFT_OUT)
    def test_what_is_left_out_exists(self, left_out: str) -> None:
        file, _, test = left_out.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in text


def process_of(services: Services) -> int:
    """Return the process of mosquitto."""
    return child_of(services.running["mosquitto.service"].pid)


class TestMeasuredTable:
    def fill(self, folder: Path, *more: str) -> list[str]:
        report, page = folder / "report.json", folder / "page.md"
        report.write_text(REPORT)
        if not page.exists():
            page.write_text(GUIDE, encoding="utf-8")
        words = [str(report), "--page", str(page), "--board", "ROCK 5B", "--system", "Armbian"]
        assert fill_boards.main([*words, *more]) == 0
        lines = page.read_text(encoding="utf-8").splitlines()
        begin = lines.index(fill_boards.BEGIN.strip())
        return lines[begin + 1 : lines.index(fill_boards.END.strip())]

    def test_a_report_fills_a_line_under_the_guides_own_heads(self, tmp_path: Path) -> None:
        head, _, line = self.fill(tmp_path, "--idle-w", "1.6")
        assert line == "| ROCK 5B | Armbian | dock-mini | 683 | 4.50 | - | 1.60 | - |"
        assert head.count("|") == line.count("|")

    def test_the_same_board_and_model_have_one_line(self, tmp_path: Path) -> None:
        self.fill(tmp_path)
        assert len(self.fill(tmp_path, "--idle-w", "1.5")) == 3

    def test_a_file_that_is_no_report_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "report.json").write_text("{}")
        words = [str(tmp_path / "report.json"), "--board", "x", "--system", "y"]
        assert fill_boards.main(words) == 1
        assert "fill_boards: KeyError: 'workloads'" in capsys.readouterr().err
