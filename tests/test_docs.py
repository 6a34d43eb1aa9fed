"""The documents say what the code does: tables, links, commands, and the examples they show."""

from __future__ import annotations

import argparse
import functools
import inspect
import json
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from edged import cli, config, contract, requests, templates
from edged.config.example import markdown_table
from edged.engine.schema import ANNOTATIONS, KEYWORDS
from edged.live_figures import LiveFigures
from edged.table_form import TableForm
from edged.topics import Topics, matches
from tests.broker import Mosquitto, with_programs
from tests.daemon_fixture import BOARD, Daemon, state_of, wait_until
from tests.test_tidy import LAYERS

ROOT = Path(__file__).parent.parent
README, CONTRACT = ROOT / "README.md", ROOT / "docs" / "contract.md"
FIRMWARE_PAGES = sorted((ROOT / "firmware-config").rglob("*.md"))
PAGES = (README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")), *FIRMWARE_PAGES)
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

Row = dict[str, str]


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


def test_the_contract_names_every_topic() -> None:
    topics = {code(row["topic"]) for row in today(table(CONTRACT, "Topics"))}
    board = Topics("{site}", "{node}")
    outgoing = {topic.replace(board.board, "{board}") for topic in outgoing_topics(board)}
    assert topics - set(incoming(topics)) == outgoing


def test_the_contract_names_every_topic_that_the_board_listens_to() -> None:
    named = incoming(code(row["topic"]) for row in today(table(CONTRACT, "Topics")))
    board = Topics("s", "n")
    every = (*board.inbound_filters, board.watch, *board.command_filters)
    filters = {name.replace(board.board, "{board}") for name in every}
    assert {name for name in filters if any(matches(name, topic) for topic in named)} == filters
    assert {topic for topic in named if not any(matches(name, topic) for name in filters)} == set()


def test_the_contract_names_every_request_key() -> None:
    assert [code(row["key"]) for row in table(CONTRACT, "Request")] == list(request_fields())


def test_the_contract_tells_each_default() -> None:
    fields = request_fields()
    told = {code(row["key"]): row["default"] for row in table(CONTRACT, "Request")}
    expected = {key: as_default(field.default) for key, field in fields.items()}
    expected["ttl_s"] = f"{config.Requests().ttl_s_default:g} (`requests.ttl_s_default`)"
    unset = {key for key, text in told.items() if not text.startswith("`") and key != "ttl_s"}
    assert unset == {key for key, text in expected.items() if text is None}
    assert {key: text for key, text in told.items() if key not in unset} == {
        key: text for key, text in expected.items() if text is not None
    }


def test_the_contract_tells_which_keys_may_be_user_properties() -> None:
    rows = table(CONTRACT, "Request")
    told = {code(row["key"]) for row in rows if row["user property"] == "yes"}
    assert told == set(requests._SCALARS)


def test_the_contract_names_every_reason_with_its_status() -> None:
    rows = table(CONTRACT, "Reasons")
    assert {code(row["reason"]): int(row["status"]) for row in rows} == contract.REASONS


def test_the_contract_tells_which_reasons_are_not_used_yet() -> None:
    later = {code(row["reason"]) for row in table(CONTRACT, "Reasons") if row["today"] == "later"}
    assert later == set(contract.REASONS) - texts_of_the_code()


def test_the_contract_names_every_event() -> None:
    told = {
        code(row["event"]): (
            int(row["status"]) if row["status"].isdigit() else None,
            row["outcome"] == "yes",
        )
        for row in table(CONTRACT, "Reply", "event")
    }
    assert told == contract.EVENTS


def test_the_contract_names_every_figure_of_live() -> None:
    told = [code(row["key"]) for row in table(CONTRACT, "Live")]
    assert told == list(LiveFigures.model_fields)


def test_the_contract_names_every_reply_key() -> None:
    told = [code(row["key"]) for row in table(CONTRACT, "Reply", "key")]
    assert told == list(reply_keys(contract.Reply))


def test_the_contract_names_every_schema_keyword() -> None:
    lines = [line for line in section(CONTRACT, "Schemas").splitlines() if "`" in line]
    listed = "\n".join(line for line in lines if line.startswith(("- ", "  ")))
    assert set(re.findall(r"`([^`]+)`", listed)) == KEYWORDS | ANNOTATIONS


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


@pytest.mark.broker
def test_every_example_gets_the_replies_that_are_shown(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, board(tmp_path, broker):
        for page in (CONTRACT, README):
            for example, shown in examples(page):
                replies = run_example(example, broker)
                assert replies, example
                assert all(shape(reply) == shape(shown) for reply in replies if shown), example


@pytest.mark.broker
def test_the_contract_names_every_key_of_the_state(tmp_path: Path) -> None:
    told = {code(row["key"]) for row in table(CONTRACT, "State")}
    with Mosquitto(tmp_path / "broker") as broker, board(tmp_path, broker) as daemon:
        wait_until(lambda: state_of(daemon)["model"] is not None, "a model")
        state = state_of(daemon)
    open_tables = ("templates", "outcomes", "clients", "clocks")  # their keys are names
    assert set(flat(state, open_tables)) == told


@contextmanager
def board(folder: Path, broker: Mosquitto) -> Iterator[Daemon]:
    """`edged run` as the contract's examples expect it; the answers come from the sim."""
    daemon = Daemon(folder / "edged", broker)
    with daemon.config.open("a", encoding="utf-8") as settings:
        settings.writelines(blocks(CONTRACT, "toml"))
    with daemon:
        online = f"mosquitto_sub -p {broker.port} -C 1 -W 30 -t {BOARD}/availability"
        assert run_bash(online) == "online"
        yield daemon


def examples(page: Path) -> Iterator[tuple[str, Any]]:
    """Yield the page's mosquitto examples, each with the JSON that is shown behind it, or None."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"```sh\n(mosquitto_.+?)```(?:\n\n```json\n(.+?)```)?", text, re.S):
        yield found[1], None if found[2] is None else json.loads(found[2])


def run_example(example: str, broker: Mosquitto) -> list[Any]:
    """Run an example as it stands, but for the port; return the JSON objects that it prints."""
    printed = run_bash(example.replace("-p 1883", f"-p {broker.port}"))
    return [json.loads(line) for line in printed.splitlines()]


def run_bash(script: str) -> str:
    """Run a script with mosquitto's clients; fail with what it said."""
    done = subprocess.run(
        ["bash", "-euc", script], env=with_programs(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{script}\n{done.stderr}"
    return done.stdout.strip()


def shape(value: Any) -> Any:
    """Return the keys of a JSON value, without its values."""
    if isinstance(value, Mapping):
        return {key: shape(inner) for key, inner in value.items()}
    return None


def flat(value: Mapping[str, Any], open_tables: tuple[str, ...]) -> Iterator[str]:
    """Yield the keys of a JSON object, inner ones with a dot; `open_tables` are not entered."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and key not in open_tables:
            yield from (f"{key}.{name}" for name in flat(inner, open_tables))
        else:
            yield key


def outgoing_topics(board: Topics) -> Iterator[str]:
    """Yield every topic that `Topics` makes to publish to, with its parameters' names in it."""
    yield from (board.availability, board.state, board.live)
    for make in (board.template, board.response):
        names = inspect.signature(make).parameters
        yield make(*[f"{{{name}}}" for name in names])


def incoming(topics: Any) -> list[str]:
    """Return the topics that devices publish to."""
    return [topic for topic in topics if re.match(r"\{board\}/(req|cancel|cmd|watch)\b", topic)]


def request_fields() -> dict[str, Any]:
    """Return the request's keys as they are written in JSON."""
    return {item.alias or name: item for name, item in contract.Request.model_fields.items()}


def as_default(value: Any) -> str | None:
    """Return a default as the contract writes it; None where a key is unset."""
    if value is None:
        return None
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def reply_keys(model: type[BaseModel]) -> Iterator[str]:
    """Yield a reply's keys in their order, inner ones with a dot."""
    for name, item in model.model_fields.items():
        key = item.alias or name
        yield key
        for part in (item.annotation, *get_args(item.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from (f"{key}.{inner}" for inner in reply_keys(part))


def texts_of_the_code() -> set[str]:
    """Return every text in double quotes in edged, but for the contract's own lists."""
    paths = [path for path in (ROOT / "edged").rglob("*.py") if path.name != "contract.py"]
    sources = (path.read_text(encoding="utf-8") for path in paths)
    return {text for source in sources for text in re.findall(r'"(\w+)"', source)}


def section(page: Path, heading: str) -> str:
    """Return what stands under a heading, up to the next one of its level or above."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,3}} |\Z)", text, re.M | re.S)
    assert found is not None, f"{page.name} has no heading {heading!r}"
    return found[2]


def table(page: Path, heading: str, first: str | None = None) -> list[Row]:
    """Return the rows of the table under a heading whose first column is `first`, or of any."""
    every = re.findall(r"^\|.+?(?=\n(?!\|))", section(page, heading), re.M | re.S)
    for text in every:
        names, _, *rows = [cells(line) for line in text.splitlines()]
        if first in (None, names[0]):
            return [dict(zip(names, row, strict=True)) for row in rows]
    raise AssertionError(f"{page.name}, {heading}: no such table")


def cells(line: str) -> list[str]:
    """Return the cells of a table's line."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def today(rows: list[Row]) -> list[Row]:
    """Return the rows that are not marked later."""
    return [row for row in rows if not row["meaning"].startswith("**later**")]


def code(cell: str) -> str:
    """Return what stands between the cell's first code marks."""
    found = re.match(r"`([^`]+)`", cell)
    assert found is not None, cell
    return found[1]


def blocks(page: Path, language: str) -> list[str]:
    """Return the page's code blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


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
