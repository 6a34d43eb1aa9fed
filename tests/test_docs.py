"""The documents say what is there: tests, links, commands, paths, and examples that are read."""

from __future__ import annotations

import argparse
import functools
import os
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from edged import cli, config, templates
from edged.config.example import markdown_table
from edged.table_form import TableForm
from tests.docs_fixtures import README, ROOT, blocks, table
from tests.test_tidy import LAYERS

FIRMWARE_PAGES = sorted((ROOT / "firmware-config").rglob("*.md"))
PAGES = (README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")), *FIRMWARE_PAGES)
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@EACH_PAGE
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`(tests/\w+\.py)::(\w+)(?:\[(\w+)\])?`", page.read_text(encoding="utf-8"))
    missing = [
        f"{file}::{name}[{case}]"
        for file, name, case in named
        if not holds_test(ROOT / file, name, case)
    ]
    assert missing == []


@pytest.mark.parametrize("heading", ["Defended", "Not defended"])
def test_every_threat_names_the_test_that_shows_what_becomes_of_it(heading: str) -> None:
    rows = table(ROOT / "docs" / "security.md", heading)
    without = [row["threat"] for row in rows if "::test_" not in row["shown by"]]
    assert (without, len(rows) > 5) == ([], True)


def holds_test(file: Path, name: str, case: str) -> bool:
    """Return whether a file has a test, and where it is one of several, the key of its case."""
    text = file.read_text(encoding="utf-8")
    return f"def {name}(" in text and (not case or f'"{case}":' in text)


def test_the_readme_lists_every_configuration_key() -> None:
    assert markdown_table() in README.read_text(encoding="utf-8")


def test_the_architecture_lists_the_layers() -> None:
    rows = table(ROOT / "docs" / "architecture.md", "Who may import whom")
    told = [tuple(re.findall(r"`([\w.]+)`", row["modules of `edged`"])) for row in rows]
    assert told == [tuple(name or "edged" for name in names) for names in LAYERS]


@EACH_PAGE
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@EACH_PAGE
def test_every_command_of_edged_exists(page: Path) -> None:
    commands = edged_commands(page.read_text(encoding="utf-8"))
    assert [command for command in commands if not is_command(command)] == []


@pytest.mark.parametrize(
    "command",
    [
        "edged fly",
        "edged run --fast",
        "edged ask --tmplate x",
        "edged bench",
        "edged bench engine --x",
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str) -> None:
    assert edged_commands(f"`{command}`") == [command]
    assert not is_command(command)


@EACH_PAGE
def test_every_path_in_code_marks_exists(page: Path) -> None:
    paths = re.findall(r"`((?:tools|tests|docs|edged|systemd)/[\w./-]+)", page.read_text("utf-8"))
    topics = ("edged/v1/", "edged/v1")
    named = [path.rstrip("./") for path in paths if not path.startswith(topics)]
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    "name",
    [
        *("tools/demo", "tools/test", "tools/check", "tools/setup", "tools/soak"),
        *("tools/power_cut", "tools/install-firmware-config", "tools/build-wheelhouse"),
        *("tools/build-package", "tools/build-bundle"),
    ],
)
def test_the_readme_names_a_tool_that_can_be_run(name: str) -> None:
    assert name in README.read_text(encoding="utf-8")
    assert os.access(ROOT / name, os.X_OK)


def test_the_example_configuration_in_the_readme_is_one() -> None:
    first, *_ = blocks(README, "toml")
    assert config.parse(tomllib.loads(first), "README.md").model.path is not None


def test_the_example_template_in_the_readme_is_one(tmp_path: Path) -> None:
    _, second, _ = blocks(README, "toml")
    (tmp_path / "example.toml").write_text(second, encoding="utf-8")
    assert templates.load(tmp_path)["dock-number"].prompt("dock 6").payload == "dock 6"


def test_the_example_of_rows_in_the_readme_does_what_is_said_there() -> None:
    _, _, third = blocks(README, "toml")
    form = TableForm.model_validate(tomllib.loads(third)["variables"]["table"]["rows"])
    written = form.written("table", [["M118", "B02", 70], ["K204", "A07", 40]])
    assert written == '[["K204","A07","K204",40],["M118","B02","M118",70]]'


def edged_commands(text: str) -> list[str]:
    """Return what the text shows as commands of edged."""
    shown = re.findall(r"`(edged (?:-|[a-z])[^`]*)`", text)
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
        shown += re.findall(r"^(?:\S*/)?(edged [a-z-].*)$", block, re.M)
    return shown


@functools.cache
def edgeds_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    return cli._parser()


def is_command(command: str) -> bool:
    """Return whether the parser knows the command and each of its options."""
    parser = edgeds_parser()
    _, *words = shlex.split(re.sub(r"[\[\]]", "", command.split("#")[0].split(">")[0]))
    if words and words[0] in parser._option_string_actions:
        return True
    (commands,) = (item for item in parser._actions if isinstance(item.choices, dict))
    assert isinstance(commands, argparse._SubParsersAction)
    if not words or words[0] not in commands.choices:
        return False
    parser, *words = commands.choices[words[0]], *words[1:]
    inner = [item for item in parser._actions if isinstance(item, argparse._SubParsersAction)]
    if inner:  # `edged bench engine`
        if not words or words[0] not in inner[0].choices:
            return False
        parser = inner[0].choices[words[0]]
    known = parser._option_string_actions
    return all(word in known for word in words if word.startswith("--"))
