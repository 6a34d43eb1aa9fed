"""`edged eval --fit-confidence` and the table that ships, with the real model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edged import calibration, config
from edged.__main__ import main
from edged.calibration import Asked
from edged.engine.frames import Sampling, Wire
from edged.evaluation.fitting import ROWS_MIN
from edged.models.installed import find_model
from edged.templates import Template, load
from tests.engine_fixtures import write_config
from tools.dock_mini import calibration_rows, dataset
from tools.dock_mini.phrase import Split

SHIPPED = dataset.MODEL_DIR / "templates"
TEMPLATES = load(SHIPPED)


def asked(template: Template, wire: Wire) -> Asked:
    digest = find_model(config.Model()).digest
    assert digest is not None
    return Asked(digest, template.digest, template.schema, wire, Sampling())


@pytest.mark.parametrize("wire", ["json", "compact"])
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES.keys())
def test_the_shipped_table_is_of_the_shipped_model_and_templates(
    template: Template, wire: Wire
) -> None:
    curves = calibration.load(SHIPPED, TEMPLATES).curves(asked(template, wire))
    assert curves is not None, "run: python -m tools.train_dock_mini calibrate"
    assert template.schema is not None
    assert list(curves.fields) == list(json.loads(template.schema)["properties"])


def test_the_rows_to_fit_on_are_the_calibration_split(tmp_path: Path) -> None:
    calibration_rows.write(5, 1, tmp_path)
    for name in dataset.TEMPLATES:
        made = dataset.rows(name, Split.CALIBRATION, 5, 1)
        assert dataset.read_rows(tmp_path / f"{name}.jsonl", name) == made


@pytest.mark.model
def test_one_command_fits_the_confidences_on_rows_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(SHIPPED, tmp_path / "templates")
    calibration_rows.write(ROWS_MIN, 1, tmp_path / "rows")
    for other in set(dataset.TEMPLATES) - {"label-read"}:
        (tmp_path / "rows" / f"{other}.jsonl").unlink()
    settings = write_config(tmp_path, model={"templates_dir": str(tmp_path / "templates")})
    options = ["--fit-confidence", str(tmp_path / "rows"), "--wire", "json"]
    assert main(["eval", "--config", str(settings), *options]) == 0
    assert "label-read" in capsys.readouterr().out
    found = calibration.load(tmp_path / "templates", TEMPLATES)
    assert found.curves(asked(TEMPLATES["label-read"], "json")) is not None
    assert found.curves(asked(TEMPLATES["label-read"], "compact")) is None
    assert found.curves(asked(TEMPLATES["dock-event"], "json")) is None


@pytest.mark.model
def test_too_few_rows_are_an_error_that_says_how_many_are_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(SHIPPED, tmp_path / "templates")
    calibration_rows.write(1, 1, tmp_path / "rows")
    settings = write_config(tmp_path, model={"templates_dir": str(tmp_path / "templates")})
    options = ["--fit-confidence", str(tmp_path / "rows"), "--wire", "json"]
    assert main(["eval", "--config", str(settings), *options]) == 78
    assert f"at least {ROWS_MIN} rows" in capsys.readouterr().err
    assert not (tmp_path / "calibration.json").exists()
