from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import ConfigError, Refusal
from edged.templates import Template, load

SHIPPED = Path(__file__).parent.parent / "edged/models/dock-mini/templates"
STOCK_QUESTION = load(SHIPPED)["stock-question"]

QUESTION = """\
name = "stock"
description = "A table and a question."
root = "Read.<|input|>"
payload = "{table}\\n? {question}"
suffix = "<|answer|>"
schema = '{"type": "object", "properties": {"é": {"type": "integer"}}}'
max_tokens = 20
[variables.table]
description = "rows"
[variables.question]
description = "what to find"
[example]
input = { table = "a 1", question = "a" }
answer = '{"é": 1}'
"""


def write(folder: Path, text: str, name: str = "stock.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def stock(tmp_path: Path) -> Template:
    write(tmp_path, QUESTION)
    return load(tmp_path)["stock"]


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_a_shipped_template_loads_and_its_example_is_right(path: Path) -> None:
    template = load(SHIPPED)[path.stem]
    assert template.schema is not None
    jsonschema.validate(json.loads(template.example_answer), json.loads(template.schema))
    assert template.prompt(template.example_input).payload


def test_at_least_five_templates_ship() -> None:
    assert len(load(SHIPPED)) >= 5


def test_an_absent_folder_has_no_templates(tmp_path: Path) -> None:
    assert load(tmp_path / "none") == {}


def test_the_digest_is_of_the_files_bytes(stock: Template) -> None:
    expected = hashlib.sha256(QUESTION.encode()).hexdigest()
    assert stock.digest == f"sha256:{expected}"


def test_a_template_says_what_becomes_of_an_answer_at_its_cap(stock: Template) -> None:
    assert stock.on_cap == "close"
    assert {template.on_cap for template in load(SHIPPED).values()} == {"error"}


def test_an_input_fills_the_payload_and_leaves_root_and_suffix(stock: Template) -> None:
    prompt = stock.prompt({"table": "a 1", "question": "how many a?"})
    assert (prompt.root, prompt.payload, prompt.suffix) == (
        "Read.<|input|>",
        "a 1\n? how many a?",
        "<|answer|>",
    )


def test_a_devices_text_is_never_a_variable(stock: Template) -> None:
    prompt = stock.prompt({"table": "{question} {table} \\1", "question": "Q"})
    assert prompt.payload == "{question} {table} \\1\n? Q"


@given(st.text(min_size=1))
def test_any_text_reaches_the_payload_unchanged(question: str) -> None:
    prompt = STOCK_QUESTION.prompt({"table": [["A1", "B2", 3]], "question": f"q{question}"})
    assert prompt.payload.endswith(f"\nq{question}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        ([1, "é"], '[1,"é"]'),
        ({"a": 1}, '{"a":1}'),
    ],
)
def test_what_is_no_text_becomes_compact_json(stock: Template, value: object, text: str) -> None:
    assert stock.prompt({"table": value, "question": "q"}).payload == f"{text}\n? q"


@pytest.mark.parametrize(
    ("given_input", "word"),
    [
        ("only text", "wants an object: table, question"),
        ({}, "missing table, question"),
        ({"table": "a"}, "question"),
        ({"table": "a", "question": "b", "colour": "c"}, "colour"),
        ({"table": "a", "question": ""}, "input.question: empty"),
        ({"table": " \n", "question": "b"}, "input.table: empty"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_by_its_variable(
    stock: Template, given_input: str | dict[str, str], word: str
) -> None:
    with pytest.raises(Refusal) as caught:
        stock.prompt(given_input)
    assert caught.value.reason == "malformed"
    assert word in caught.value.detail


def test_text_is_the_value_of_the_only_variable() -> None:
    template = load(SHIPPED)["label-read"]
    assert template.prompt("GLS 4") == template.prompt({"ocr": "GLS 4"})


def test_a_device_can_read_what_a_template_wants(stock: Template) -> None:
    assert json.loads(stock.described()) == {
        "name": "stock",
        "description": "A table and a question.",
        "variables": {"table": "rows", "question": "what to find"},
        "schema": {"type": "object", "properties": {"é": {"type": "integer"}}},
        "example": {"input": {"table": "a 1", "question": "a"}, "answer": {"é": 1}},
        "digest": stock.digest,
    }


def test_without_a_schema_the_example_is_text(tmp_path: Path) -> None:
    lines = [line for line in QUESTION.splitlines() if not line.startswith("schema")]
    write(tmp_path, "\n".join(lines))
    described = json.loads(load(tmp_path)["stock"].described())
    assert (described["schema"], described["example"]["answer"]) == (None, '{"é": 1}')


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "stock"', 'name = "a b"', ["name"]),
        ('name = "stock"\n', "", ["name", "required"]),
        ('root = "Read.<|input|>"', 'root = ""', ["root"]),
        ("max_tokens = 20", "max_tokens = 0", ["max_tokens"]),
        ("max_tokens = 20", 'max_tokens = "20"', ["max_tokens"]),
        ("max_tokens = 20", "colour = 1", ["colour"]),
        ("{table}", "{tabel}", ["payload", "tabel", "table"]),
        ("{table}", "", ["payload", "table"]),
        ("schema = '{", "schema = '", ["schema"]),
        ('schema = \'{"type"', "schema = '[]' #", ["schema", "object"]),
        ("answer = '{\"é\": 1}'", "answer = 'one'", ["example.answer"]),
        ('table = "a 1", ', "", ["example.input", "table"]),
        ("[example]", "[exmaple]", ["exmaple"]),
        ("root = ", "root ", ["line 3"]),
    ],
)
def test_a_bad_file_is_an_error_by_file_and_key(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    assert old in QUESTION
    path = write(tmp_path, QUESTION.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert [word for word in [str(path), *words] if word not in str(caught.value)] == []


def test_a_file_that_is_not_utf8_is_an_error_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match=r"odd\.toml"):
        load(tmp_path)


def test_two_templates_of_one_name_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, QUESTION, "a.toml")
    write(tmp_path, QUESTION, "b.toml")
    with pytest.raises(ConfigError, match="two templates have the same name: stock"):
        load(tmp_path)


FIXED = '{"type":"object","properties":{"é":{"type":"integer"}},"required":["é"]}'


def compact_file(schema: str) -> str:
    lines = [line for line in QUESTION.splitlines() if not line.startswith("schema")]
    lines[lines.index("max_tokens = 20")] = f'wire = "compact"{schema and chr(10)}{schema}'
    return "\n".join(lines)


def test_a_template_is_written_as_json_unless_it_says_otherwise(stock: Template) -> None:
    assert stock.wire == "json"


def test_a_device_sees_no_difference_between_the_forms(tmp_path: Path) -> None:
    write(tmp_path, compact_file(f"schema = '{FIXED}'"))
    found = load(tmp_path)["stock"]
    assert found.wire == "compact"
    told = json.loads(found.described())
    assert (told["schema"], told["example"]["answer"]) == (json.loads(FIXED), {"é": 1})
    assert "wire" not in told


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("", ["no schema"]),
        ('schema = \'{"type":"array"}\'', ["schema", "'array'"]),
        (f"schema = '{FIXED[:-5]}]}}'", ["required"]),
    ],
)
def test_a_compact_template_without_fixed_keys_is_an_error_that_says_what_to_do(
    tmp_path: Path, schema: str, words: list[str]
) -> None:
    path = write(tmp_path, compact_file(schema))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    wanted = [str(path), 'wire = "compact"', 'or write wire = "json"', *words]
    assert [word for word in wanted if word not in str(caught.value)] == []


def test_a_form_that_does_not_exist_is_an_error_by_its_key(tmp_path: Path) -> None:
    write(tmp_path, QUESTION.replace("max_tokens = 20", 'wire = "short"'))
    with pytest.raises(ConfigError, match="wire = 'short'"):
        load(tmp_path)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_a_shipped_template_can_have_both_forms(path: Path) -> None:
    assert load(SHIPPED)[path.stem].wire_forms == ("json", "compact")
