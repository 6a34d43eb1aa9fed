"""What journald gets of the log: a real datagram socket where journald's would be, or journald."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.journal import Event, Journal, about
from tests.docs_fixtures import code, table
from tests.journal_socket import JournalSocket
from tests.journald import Journald, needs_journald

ROOT = Path(__file__).parent.parent
CATALOG = ROOT / "systemd" / "edged.catalog"
P17 = about(Event.ACCEPTED, request_id="p17", client="forklift-7", template=None)


class Kept(logging.Handler):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


class Desk:
    """A logger of a test's own that writes to a journal socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spare = Kept()
        self.log = logging.Logger("edged.test")
        self._journal = Journal(path, self.spare)
        self.log.addHandler(self._journal)

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path / "socket") as one:
        yield one


def test_a_record_has_its_event_and_its_fields(desk: Desk) -> None:
    with JournalSocket(desk.path) as journal:
        desk.log.info("%s accepted", "forklift-7/p17", extra=P17)
        heard = journal.next()
    assert heard["MESSAGE"] == "forklift-7/p17 accepted"
    assert heard["MESSAGE_ID"] == Event.ACCEPTED
    assert (heard["EDGED_REQUEST_ID"], heard["EDGED_CLIENT"]) == ("p17", "forklift-7")
    assert (heard["SYSLOG_IDENTIFIER"], heard["LOGGER"]) == ("edged", "edged.test")


def test_a_field_without_a_value_is_left_out(desk: Desk) -> None:
    with JournalSocket(desk.path) as journal:
        desk.log.info("accepted", extra=P17)
        assert "EDGED_TEMPLATE" not in journal.next()


@pytest.mark.parametrize(
    ("level", "priority"),
    [("CRITICAL", "2"), ("ERROR", "3"), ("WARNING", "4"), ("INFO", "6"), ("DEBUG", "7")],
)
def test_a_level_is_the_priority_that_syslog_has_for_it(
    desk: Desk, level: str, priority: str
) -> None:
    with JournalSocket(desk.path) as journal:
        desk.log.log(logging.getLevelName(level), "x")
        assert journal.next()["PRIORITY"] == priority


def test_the_trace_of_an_error_is_in_the_message(desk: Desk) -> None:
    with JournalSocket(desk.path) as journal:
        try:
            raise ValueError("such a pity")
        except ValueError:
            desk.log.exception("bug")
        message = journal.next()["MESSAGE"]
    assert message.startswith("bug\nTraceback")
    assert message.endswith("ValueError: such a pity")


@given(text=st.text(st.characters(codec=None, exclude_characters="\0")), value=st.text())
def test_every_text_arrives_in_the_field_where_it_belongs(
    tmp_path_factory: pytest.TempPathFactory, text: str, value: str
) -> None:
    path = tmp_path_factory.mktemp("journal") / "socket"
    with Desk(path) as desk, JournalSocket(path) as journal:
        desk.log.info("%s", text, extra=about(Event.REFUSED, reason=value))
        heard = journal.next()
    clean = [word.encode(errors="backslashreplace").decode() for word in (text, value)]
    assert [heard["MESSAGE"], heard["EDGED_REASON"]] == clean
    assert heard["MESSAGE_ID"] == Event.REFUSED


def test_a_line_that_no_datagram_can_hold_arrives_whole(desk: Desk) -> None:
    with JournalSocket(desk.path) as journal:
        desk.log.info("x" * 1_000_000)
        assert len(journal.next()["MESSAGE"]) == 1_000_000


def test_a_journald_that_was_restarted_gets_the_next_line(desk: Desk) -> None:
    with JournalSocket(desk.path):
        desk.log.info("to the first")
    with JournalSocket(desk.path) as journal:
        desk.log.info("to the second")
        assert journal.next()["MESSAGE"] == "to the second"


def test_while_journald_is_away_lines_go_where_text_goes(desk: Desk) -> None:
    desk.log.info("nobody listens")
    assert desk.spare.texts == ["nobody listens"]


def test_a_journald_that_does_not_read_loses_lines_and_is_told_how_many(desk: Desk) -> None:
    sent = [str(number) for number in range(2000)]  # the kernel keeps 512 at most
    with JournalSocket(desk.path) as journal:
        for number in sent:
            desk.log.info(number)
        kept = [record["MESSAGE"] for record in journal.waiting()]
        desk.log.info("reads again")
        after = [record["MESSAGE"] for record in journal.waiting()]
    assert 0 < len(kept) < len(sent)
    assert kept == sent[: len(kept)]
    lost = f"{len(sent) - len(kept)} lines before this one are lost"
    assert (after[0], after[1].split(":")[0]) == ("reads again", lost)
    assert desk.spare.texts == []


def test_every_event_has_an_id_of_its_own_that_the_catalog_explains() -> None:
    explained = re.findall(r"^-- ([0-9a-f]{32})$", CATALOG.read_text(encoding="utf-8"), re.M)
    assert sorted(explained) == sorted(Event)
    assert len(set(Event)) == len(Event.__members__)


def test_the_page_lists_every_event_with_its_id() -> None:
    rows = table(ROOT / "docs" / "logs.md", "Events")
    told = {row["event"].replace(" ", "_").upper(): code(row["MESSAGE_ID"]) for row in rows}
    assert told == {event.name: event.value for event in Event}


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="journalctl is not installed here")
def test_journalctl_takes_the_catalog(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    shutil.copy(CATALOG, folder)
    command = ["journalctl", f"--root={tmp_path}"]
    subprocess.run([*command, "--update-catalog"], check=True, capture_output=True)
    listed = subprocess.run(
        [*command, "--list-catalog"], check=True, capture_output=True, text=True
    )
    assert {line.split()[0] for line in listed.stdout.splitlines()} == set(Event)


def begun(tmp_path: Path, *, stream: bool, listens: bool) -> tuple[str, list[dict[str, str]]]:
    """Return what a process that logs one line writes to stderr, and to the journal's socket.

    `stream`: its stderr is the one that systemd says it gave to the journal.
    """
    path, stderr = tmp_path / "socket", tmp_path / "stderr"
    program = (
        "import logging, pathlib; from edged import journal; "
        f"journal.begin(logging.INFO, pathlib.Path({str(path)!r})); "
        "logging.getLogger('edged.x').info('hello')"
    )
    with stderr.open("w") as file:
        status = os.fstat(file.fileno())
        given = f"{status.st_dev}:{status.st_ino}" if stream else "0:0"
        environment = os.environ | {"JOURNAL_STREAM": given, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", program]
        if not listens:
            subprocess.run(command, env=environment, stderr=file, check=True)
            return stderr.read_text(), []
        with JournalSocket(path) as journal:
            subprocess.run(command, env=environment, stderr=file, check=True)
            heard = [journal.next()] if not stderr.read_text() else []
    return stderr.read_text(), heard


def test_a_service_of_systemd_logs_to_journald_alone(tmp_path: Path) -> None:
    text, heard = begun(tmp_path, stream=True, listens=True)
    assert (text, heard[0]["MESSAGE"]) == ("", "hello")


def test_a_person_in_a_shell_reads_text_though_journald_listens(tmp_path: Path) -> None:
    assert begun(tmp_path, stream=False, listens=True) == ("INFO edged.x: hello\n", [])


def test_without_journald_the_log_is_text(tmp_path: Path) -> None:
    assert begun(tmp_path, stream=True, listens=False) == ("INFO edged.x: hello\n", [])


@needs_journald
def test_journalctl_finds_a_prompt_by_its_id_in_a_real_journal() -> None:
    with Journald() as journald, Desk(journald.socket) as desk:
        for id in ("p17", "p18"):
            desk.log.info("%s\naccepted", id, extra=about(Event.ACCEPTED, request_id=id))
        (found,) = journald.find("EDGED_REQUEST_ID=p17")
    assert (found["MESSAGE"], found["MESSAGE_ID"]) == ("p17\naccepted", Event.ACCEPTED)


@needs_journald
def test_a_real_journald_takes_a_line_that_no_datagram_can_hold() -> None:
    with Journald() as journald, Desk(journald.socket) as desk:
        desk.log.info("x" * 400_000, extra=about(Event.REFUSED, client="c1"))
        (found,) = journald.find("EDGED_CLIENT=c1")
    assert found["MESSAGE"] == "x" * 400_000
