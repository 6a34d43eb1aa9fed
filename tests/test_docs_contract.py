"""The contract says what the code does: its tables lack nothing, its examples get their replies."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from edged import config, contract, requests
from edged.engine.schema import ANNOTATIONS, KEYWORDS
from edged.live_figures import LiveFigures
from edged.topics import Topics, matches
from tests.broker import Mosquitto, with_programs
from tests.daemon_fixtures import BOARD, Daemon, state_of, wait_until
from tests.docs_fixtures import CONTRACT, README, ROOT, Row, blocks, code, section, table


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


def today(rows: list[Row]) -> list[Row]:
    """Return the rows that are not marked later."""
    return [row for row in rows if not row["meaning"].startswith("**later**")]
