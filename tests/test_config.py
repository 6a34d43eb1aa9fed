from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from edged import config
from edged.config.example import example, keys, markdown_table
from edged.config.ranges import allowed
from edged.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "edged.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problem(folder: Path, text: str) -> str:
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[node]\nnmae = 'a'", ["node.nmae", "unknown key"]),
        ("[broker]\nhost = 'a'\nprot = 1", ["broker.prot", "unknown key"]),
        ("colour = 1", ["colour", "unknown key"]),
        ("[clients.c1]\ntemplate = 'a'", ["clients.c1.template", "unknown key"]),
        ("[broker]\nport = 0", ["broker.port = 0", "1 to 65535"]),
        ("[broker]\nport = 65536", ["broker.port = 65536", "1 to 65535"]),
        ("[broker]\nport = '1883'", ["broker.port = '1883'", "1 to 65535"]),
        ("[broker]\nport = 1883.0", ["broker.port = 1883.0", "1 to 65535"]),
        ("[broker]\nport = true", ["broker.port = True", "1 to 65535"]),
        ("[broker]\nprotocol = '4'", ["broker.protocol = '4'", "auto, 5, 3.1.1"]),
        ("[broker]\nhost = ''", ["broker.host = ''"]),
        ("[node]\nsite = 'a/b'", ["node.site = 'a/b'", "[A-Za-z0-9_.-]{1,64}"]),
        ("[node]\nname = 5", ["node.name = 5"]),
        ("[node]\nstate_dir = 5", ["node.state_dir = 5", "a path"]),
        ("[model]\nsequences = 65", ["model.sequences = 65", "1 to 64"]),
        ("[model]\nthreads = 0", ["model.threads = 0", "1 to 256"]),
        ("[requests]\nsystem_role = 1", ["requests.system_role = 1", "true, false"]),
        ("[requests]\nttl_s_max = 86401", ["requests.ttl_s_max = 86401", "1 to 86400"]),
        ("[requests]\nttl_s_default = nan", ["requests.ttl_s_default = nan", "1 to 86400"]),
        ("[power]\nbudget_w = -1", ["power.budget_w = -1", "0.1 to 1000"]),
        ("[power]\nbudget_w = inf", ["power.budget_w = inf", "0.1 to 1000"]),
        ("[power]\nmeter = 'ina226'", ["power.meter = 'ina226'", "ina226@1-0040"]),
        ("[power]\nmeter = 'ina3221@1-0040/4'", ["power.meter", "estimate, or a chip"]),
        ("[power]\nshunt_ohm = 10.0", ["power.shunt_ohm = 10.0", "0.0001 to 1"]),
        ("[clients.c1]\npriority_max = 10", ["clients.c1.priority_max = 10", "0 to 9"]),
        ("[clients.'c 1']\npriority_max = 9", ["clients.c 1", "[A-Za-z0-9_.-]{1,64}"]),
        ("[clients.c1]\nresponse_topics = 'a'", ["clients.c1.response_topics = 'a'"]),
        ("[clients.c1]\nresponse_topics = ['a/#/b']", ["clients.c1.response_topics.0 = 'a/#/b'"]),
        ("[[input]]\ntopic = 'a+/b'\ntemplate = 't'", ["input.0.topic = 'a+/b'", "whole level"]),
        ("[[input]]\ntopic = 'a'", ["input.0.template", "required"]),
        ("[input]\ntopic = 'a'\ntemplate = 't'", ["input"]),
        ("[broker\nport = 1", ["TOML"]),
        ("[broker]\ntls_key_file = 'credential:a/b'", ["broker.tls_key_file", "letters, digits"]),
        ("[broker]\npassword_file = 'credential:..'", ["broker.password_file", "credential:"]),
        ("[broker]\npassword_file = 'x'", ["broker.password_file", "broker.username"]),
        ("[broker]\ntls_certificate_file = 'x'", ["broker.tls_ca_file", "nothing", "encrypted"]),
        ("[broker]\ntls_ca_file = 'a'\ntls_key_file = 'x'", ["broker.tls_certificate_file too"]),
    ],
)
def test_a_mistake_is_named_by_file_key_value_and_what_is_allowed(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    found = problem(tmp_path, text)
    assert [word for word in words if word not in found] == []


def test_every_mistake_has_its_line(tmp_path: Path) -> None:
    lines = problem(tmp_path, "[broker]\nport = 0\nprot = 1\n[spool]\nrows_max = 1").splitlines()
    assert [line.split(": ")[1].split(" = ")[0] for line in lines] == [
        "broker.port",
        "broker.prot",
        "spool.rows_max",
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        config.load(tmp_path / "none.toml")


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match=r"odd\.toml: cannot be read as TOML"):
        config.load(tmp_path / "odd.toml")


def test_without_a_file_everything_has_its_default() -> None:
    assert config.load(None) == config.Config()


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, "")) == config.Config()


def test_the_example_is_accepted_and_says_the_defaults(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, example())) == config.Config()


def test_the_examples_commented_tables_are_accepted_too(tmp_path: Path) -> None:
    _, _, tail = example().partition("# [clients.forklift-7]")
    tables = "# [clients.forklift-7]" + tail
    lines = [line.removeprefix("# ") for line in tables.splitlines() if line.startswith("# ")]
    toml = [line for line in lines if "=" in line or line.startswith("[")]
    found = config.load(write(tmp_path, "\n".join(toml)))
    assert found.clients["forklift-7"].priority_max == 9
    assert found.input[0].input == {"ocr": "text"}
    assert [(entry.at, entry.budget_w) for entry in found.budget] == [
        ("06:00", 6.0),
        ("22:00", 3.0),
    ]


SECTIONS: dict[str, type[config.Section]] = {
    "node": config.Node,
    "broker": config.Broker,
    "model": config.Model,
    "engine": config.Engine,
    "npu": config.Npu,
    "rkllm": config.Rkllm,
    "rknn": config.Rknn,
    "requests": config.Requests,
    "spool": config.Spool,
    "store": config.Store,
    "admin": config.Admin,
    "power": config.Power,
    "plug": config.Plug,
    "quota": config.Quota,
    "metrics": config.Metrics,
    "clients.NAME": config.Client,
    "[input]": config.Input,
    "[budget]": config.ScheduledBudget,
}


def test_every_key_of_the_models_is_listed() -> None:
    expected = [(table, name) for table, model in SECTIONS.items() for name in model.model_fields]
    assert [(key.table, key.name) for key in keys()] == expected
    assert len(SECTIONS) == len(config.Config.model_fields)


def test_every_key_of_the_plain_tables_stands_in_the_example() -> None:
    text = example()
    for key in keys():
        if key.table in tomllib.loads(text):
            assert f"\n{key.name} = " in text or f"\n# {key.name} =" in text, key


def test_every_key_has_a_meaning_and_a_row() -> None:
    rows = markdown_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [f"[{key.table}] {key.name}" for key in keys()]
    assert [key.name for key in keys() if not key.meaning] == []


def test_every_number_has_a_range() -> None:
    assert [
        f"{table}.{name}"
        for table, model in SECTIONS.items()
        for name, item in model.model_fields.items()
        if item.annotation in (int, float, int | None, float | None) and " to " not in allowed(item)
    ] == []


@pytest.mark.parametrize(
    ("topic_filter", "is_one"),
    [
        ("a", True),
        ("a/b/c", True),
        ("a/+/c", True),
        ("+/b", True),
        ("a/#", True),
        ("#", True),
        ("x" * 256, True),
        ("", False),
        ("/a", False),
        ("$SYS/a", False),
        ("$share/g/a", False),
        ("a/b+", False),
        ("a/#/b", False),
        ("a/b#", False),
        ("a\0", False),
        ("x" * 257, False),
        ("é" * 129, False),
    ],
)
def test_a_topic_filter_is_one_that_a_broker_takes(topic_filter: str, is_one: bool) -> None:
    table: dict[str, Any] = {"input": [{"topic": topic_filter, "template": "t"}]}
    if is_one:
        assert config.parse(table, "x").input[0].topic == topic_filter
    else:
        with pytest.raises(ConfigError, match=r"input\.0\.topic = "):
            config.parse(table, "x")


def test_whole_numbers_do_for_numbers() -> None:
    assert config.parse({"power": {"budget_w": 5}}, "x").power.budget_w == 5.0


def test_lists_and_paths_are_written_as_toml_has_them(tmp_path: Path) -> None:
    found = config.parse(
        {"clients": {"c1": {"response_topics": ["a/+"]}}, "model": {"path": "/m.gguf"}}, "x"
    )
    assert found.clients["c1"].response_topics == ("a/+",)
    assert found.model.path == Path("/m.gguf")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/edged"}, "/var/lib/edged"),
        ({"STATE_DIRECTORY": "/var/lib/edged:/var/lib/other"}, "/var/lib/edged"),
        ({"HOME": "/home/me"}, "/home/me/.local/state/edged"),
        ({"HOME": "/home/me", "STATE_DIRECTORY": ""}, "/home/me/.local/state/edged"),
    ],
)
def test_the_state_directory_is_systemds_or_the_users(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    environ(monkeypatch, environment)
    assert config.Config().state_dir == Path(expected)


def test_the_files_state_directory_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    environ(monkeypatch, {"STATE_DIRECTORY": "/var/lib/edged"})
    assert config.parse({"node": {"state_dir": "/mine"}}, "x").state_dir == Path("/mine")


@pytest.mark.parametrize(
    ("environment", "table", "expected"),
    [
        ({"STATE_DIRECTORY": "/s"}, {}, "/s/engine.sock"),
        (
            {"STATE_DIRECTORY": "/s", "RUNTIME_DIRECTORY": "/run/edged"},
            {},
            "/run/edged/engine.sock",
        ),
        ({"RUNTIME_DIRECTORY": "/run/edged"}, {"engine": {"socket": "/my.sock"}}, "/my.sock"),
    ],
)
def test_the_engines_socket_is_found(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    table: dict[str, Any],
    expected: str,
) -> None:
    environ(monkeypatch, environment)
    assert config.parse(table, "x").engine_socket == Path(expected)


@pytest.mark.parametrize(
    ("environment", "table", "expected"),
    [
        ({"STATE_DIRECTORY": "/s"}, {}, "/s/admin.sock"),
        ({"STATE_DIRECTORY": "/s", "RUNTIME_DIRECTORY": "/run/edged"}, {}, "/run/edged/admin.sock"),
        ({"RUNTIME_DIRECTORY": "/run/edged"}, {"admin": {"socket": "/my.sock"}}, "/my.sock"),
    ],
)
def test_the_admin_socket_is_found(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    table: dict[str, Any],
    expected: str,
) -> None:
    environ(monkeypatch, environment)
    assert config.parse(table, "x").admin_socket == Path(expected)


def environ(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_files_can_be_placed_elsewhere() -> None:
    placed = config.placed(config.Config(), Path("/s"), Path("/e.sock"))
    assert (placed.state_dir, placed.engine_socket) == (Path("/s"), Path("/e.sock"))
    assert config.placed(placed, None, None) == placed


def test_a_configuration_never_changes() -> None:
    with pytest.raises(ValueError, match="frozen"):
        config.Config().node.site = "other"  # type: ignore[misc]  # that it cannot is the test
