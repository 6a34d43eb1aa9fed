"""The command line as a person or systemd meets it: exit codes and sentences.

A process of its own costs a second of imports: most tests call what its entry point calls.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import edged
from edged.__main__ import main

ROOT = Path(__file__).parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `edged` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "edged", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def written(folder: Path, text: str) -> str:
    path = folder / "edged.toml"
    path.write_text(text)
    return str(path)


def test_version_is_the_package_version() -> None:
    assert run("--version").stdout.strip() == f"edged {edged.__version__}"


@pytest.mark.model
def test_the_example_is_accepted_by_check(tmp_path: Path) -> None:
    finished = run("check", written(tmp_path, run("config", "--example").stdout))
    assert (finished.returncode, finished.stdout.splitlines()[-1:]) == (0, ["ok"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[broker]\nprot = 1\n", ["broker.prot", "unknown key"]),
        ("[broker]\nport = 70000\n", ["broker.port", "70000", "65535"]),
        ("[node]\nname = 'a b'\n", ["node.name", "a b"]),
        ("[broker\n", ["cannot be read as TOML"]),
        ("[clients.a]\ndefault_template = 'nope'\n", ["clients.a", "nope", "dock-event"]),
        ("[[input]]\ntopic = 'a/+'\nclient = '{2}'\ntemplate = 'dock-event'\n", ["input.0.client"]),
        (
            "[[input]]\ntopic = 'a/+'\ntemplate = 'label-read'\ninput = { label = 'ocr' }\n",
            ["input.0.input", "label", "ocr"],
        ),
        ("[model]\npath = '/nowhere.gguf'\n", ["/nowhere.gguf", "no such model file"]),
        ("[power]\npeak_w = 1.0\n", ["power.peak_w = 1", "budget_w = 4", "raise the one"]),
        ("[engine]\nvirtual_board = 'rk3588'\n", ["virtual_board", 'backend = "sim"']),
    ],
)
def test_check_names_what_is_wrong_and_exits_78(
    tmp_path: Path, text: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", written(tmp_path, text)]) == 78
    told = capsys.readouterr().err
    assert [word for word in words if word not in told] == []


def test_the_fixed_device_of_the_example_fits_its_template(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["config", "--example"])
    example = capsys.readouterr().out.partition("# [[input]]")
    lines = ["[engine]", 'backend = "sim"', "[[input]]", *example[2].splitlines()[1:]]
    text = "\n".join(line.removeprefix("# ") for line in lines)
    assert main(["check", written(tmp_path, text)]) == 0


def test_check_of_a_model_that_is_no_gguf_exits_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.gguf").write_bytes(b"not a model, but long enough to look at " * 4)
    code = main(["check", written(tmp_path, f"[model]\npath = '{tmp_path}/x.gguf'\n")])
    assert (code, "GGUF" in capsys.readouterr().err) == (78, True)


def test_check_speaks_json_to_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "--json", written(tmp_path, "[engine]\nbackend = 'sim'\n")])
    assert json.loads(capsys.readouterr().out)["board"] == "edged/v1/dock/edge-1"


def test_a_missing_configuration_is_a_sentence_and_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["run", "--config", str(tmp_path / "none.toml")])
    assert (code, "none.toml" in capsys.readouterr().err) == (78, True)


def test_a_state_directory_that_cannot_be_written_is_a_sentence_and_78(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    text = f"[node]\nstate_dir = '{tmp_path}/file/state'\n[engine]\nbackend = 'sim'\n"
    finished = run("run", "--config", written(tmp_path, text))
    assert finished.returncode == 78
    assert re.search(r"node\.state_dir = .*file/state", finished.stderr)


def test_ask_without_a_broker_says_where_it_looked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["ask", "--config", written(tmp_path, "[broker]\nport = 9\n"), "hello"])
    assert (code, "127.0.0.1:9" in capsys.readouterr().err) == (1, True)


def test_no_failure_prints_a_traceback(tmp_path: Path) -> None:
    finished = run("run", "--config", written(tmp_path, "[broker]\nport = 'x'\n"))
    assert ("broker.port" in finished.stderr, "Traceback" in finished.stderr) == (True, False)
