"""Which tests run on the machine, in pieces, and which do not, each with its reason.

In: the files of tests.  Out: words for pytest, and what its last line says.

Those that need neither a broker nor an engine process run, each property with few examples, less
what is named here. Speed is no reason to be named.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MARKED = "not slow and not broker and not model"
TEXT = "looks at the text of this project, which is the same there"
COMPUTER = "is about the computer that makes wheels and packages, or about this tool"
# Quirks of the emulator, and of a chroot.
BOOKS = "QEMU writes a process's own /proc/self/stat itself, without processor time"
JOURNAL = "journalctl --sync gets no answer from a journald under QEMU"
LEFT_OUT = {
    "tests/test_tidy.py": TEXT,
    "tests/test_docs.py": TEXT,
    "tests/test_docs_contract.py": TEXT,
    "tests/test_dock_mini_data.py": TEXT,
    "tests/test_arm64.py": COMPUTER,
    "tests/test_build_llama_server.py": COMPUTER,
    "tests/test_package.py": COMPUTER,
    "tests/test_wheelhouse.py": COMPUTER,
    "tests/test_board_use.py::test_the_cpu_time_of_a_process_grows": BOOKS,
    "tests/test_board_use.py::test_the_cpu_time_is_that_of_the_kernel": BOOKS,
    "tests/test_journal.py::test_journalctl_finds_a_prompt_by_its_id_in_a_real_journal": JOURNAL,
    "tests/test_journal.py::test_a_real_journald_takes_a_line_that_no_datagram_can_hold": JOURNAL,
}
# Of the extra `dev`: what looks at text alone, and is large.
NOT_FOR_TESTS = ("mypy", "ruff", "types-jsonschema")
PIECES = 4
COUNTS = re.compile(r"([\d,]+) (passed|failed|errors?|skipped|xfailed|deselected)")


@dataclass(frozen=True, slots=True)
class Piece:
    """Files of tests that are run by one pytest.

    Attributes:
        files: from the checkout, as tests/test_x.py.
    """

    number: int
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """What its step is called."""
        first, last = (Path(one).stem for one in (self.files[0], self.files[-1]))
        return f"unit tests {self.number} of {PIECES}, {first} to {last}"


def pieces(checkout: Path) -> list[Piece]:
    """Return all files of tests that are not left out, in as many pieces as `PIECES`."""
    found = [f"tests/{path.name}" for path in sorted((checkout / "tests").glob("test_*.py"))]
    files = [name for name in found if name not in LEFT_OUT]
    bounds = [len(files) * number // PIECES for number in range(PIECES + 1)]
    return [
        Piece(number, tuple(files[bounds[number - 1] : bounds[number]]))
        for number in range(1, PIECES + 1)
    ]


def pytest_words(piece: Piece, processes: int) -> list[str]:
    """Return the options of pytest for a piece; tests/conftest.py has the profile."""
    words = ["-m", MARKED, "--hypothesis-profile=emulated", "--durations=30", "-rsfE"]
    # A test that takes long is handed to whoever has nothing left.
    words += [f"--numprocesses={processes}", "--dist=worksteal"] if processes > 1 else []
    words += [f"--deselect={name}" for name in LEFT_OUT if name.partition("::")[0] in piece.files]
    return [*words, *piece.files]


def counts(said: str) -> dict[str, int]:
    """Return the numbers of pytest's last line, by what they count."""
    lines = [line for line in said.splitlines() if re.search(r" in [\d.]+s\b", line)]
    return sums_of(lines[-1:])


def in_all(parts: Sequence[str]) -> str:
    """Return the sum of what the steps of all pieces said."""
    return f"{told(sums_of(parts))}; {len(LEFT_OUT)} files or tests left out by name"


def sums_of(lines: Sequence[str]) -> dict[str, int]:
    """Return the sums of the numbers on some lines, by what they count."""
    sums: dict[str, int] = {}
    for line in lines:
        for number, what in COUNTS.findall(line):
            sums[what] = sums.get(what, 0) + int(number.replace(",", ""))
    return sums


def told(sums: dict[str, int]) -> str:
    """Return counts in words; what was deselected by its mark is no news."""
    return ", ".join(f"{number:,} {what}" for what, number in sums.items() if what != "deselected")


def needs(project: str) -> list[str]:
    """Return the packages that the tests need beside edged, from the text of pyproject.toml."""
    dev = tomllib.loads(project)["project"]["optional-dependencies"]["dev"]
    return [need for need in dev if re.split(r"[^\w-]", need)[0] not in NOT_FOR_TESTS]
