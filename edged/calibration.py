"""Confidences that are hit rates: what the engine scored becomes the chance of being exact.

In:  an outcome's scores, and the curves that were fitted for this model, template and wire form.
Out: `Confidence`, of the answer and of its fields.     The table, `calibration.json`, lies beside
the folder of the model's templates; `edged eval --fit-confidence` writes it (see fitting).
Pure after `load`. Without curves a confidence is the model's own probability, and says so.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from edged.engine.frames import FieldScore, Outcome, Sampling, Wire
from edged.errors import ConfigError
from edged.templates import Template

log = logging.getLogger(__name__)

# Surer than 1 - 1e-5 tells nothing more: there the rounding of 4-bit weights decides.
LOG_ODDS_MAX = 12.0
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Slope = Annotated[float, Field(allow_inf_nan=False, ge=0)]


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure one may be of an answer.

    Attributes:
        answer: that all of it is exact; None if nothing was chosen.
        fields: that a top-level field is exact; empty for an answer that is no object.
        is_calibrated: whether they are fitted hit rates, else probabilities of the model.
    """

    answer: float | None
    fields: Mapping[str, float]
    is_calibrated: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """The chance of being exact: a logistic function that rises with both of its scores.

    Attributes:
        own: weight of the log odds of what was written.
        least: weight of the log odds of the least sure token of the whole answer: a field copies
            the error of the field that it follows from, and is sure of it.
        offset: what is added.
        rows: answers that it was fitted on; it never comes nearer to 0 and 1 than one in that many.
    """

    own: _Slope
    least: _Slope
    offset: _Finite
    rows: Annotated[int, Field(ge=1)]

    def probability(self, own_log_p: float, least_log_p: float) -> float:
        """Return the chance, over 0 and under 1."""
        z = self.own * log_odds(own_log_p) + self.least * log_odds(least_log_p) + self.offset
        margin = 1 / (self.rows + 2)
        return margin + (1 - 2 * margin) * (1 + math.tanh(z / 2)) / 2


@dataclass(frozen=True, slots=True)
class Curves:
    """The curves of one template in one wire form.

    Attributes:
        answer: of the whole answer; its own score is the sum over all fields.
        other: of all fields together, for a field that has no curve of its own.
    """

    answer: Curve
    fields: dict[str, Curve]
    other: Curve

    def confidence(self, scores: tuple[FieldScore, ...]) -> Confidence:
        """Return the chances of an answer's fields; there is at least one."""
        least = least_log_p(scores)
        fields = {
            score.name: self.fields.get(score.name, self.other).probability(score.log_p_sum, least)
            for score in scores
        }
        return Confidence(self.answer.probability(sum_log_p(scores), least), fields, True)


@dataclass(frozen=True, slots=True)
class TemplateCurves:
    """The curves of one template, by wire form; they count for the file with this digest only."""

    digest: str
    forms: dict[Wire, Curves]


@dataclass(frozen=True, slots=True)
class Table:
    """The file's content; `model` is the digest of the model file that it was fitted on."""

    version: Literal[1]
    model: str
    templates: dict[str, TemplateCurves]


_TABLE = TypeAdapter(Table)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer was asked with: curves count for the same only."""

    model_digest: str
    template_digest: str | None
    schema: str | None
    wire: Wire
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Calibration:
    """The curves that count on this board; there may be none.

    Attributes:
        model_digest: of the model file that they were fitted on; None where there is no table.
        forms: by template digest.
        schemas: the templates' own, by template digest.
    """

    model_digest: str | None = None
    forms: Mapping[str, Mapping[Wire, Curves]] = field(default_factory=dict)
    schemas: Mapping[str, str | None] = field(default_factory=dict)

    def curves(self, asked: Asked) -> Curves | None:
        """Return the curves for what was asked; None where none were fitted for that.

        They were fitted on greedy answers to the template's own schema.
        """
        digest = asked.template_digest
        is_greedy = asked.sampling.temperature == 0 and asked.sampling.repeat_penalty == 1
        if digest is None or asked.model_digest != self.model_digest or not is_greedy:
            return None
        if asked.schema != self.schemas.get(digest):
            return None
        return self.forms.get(digest, {}).get(asked.wire)

    def mismatch(self, model_digest: str) -> str | None:
        """Return why the table does not count for the model that runs; None if it does."""
        if self.model_digest in (None, model_digest):
            return None
        return (
            f"calibration.json was fitted on another model ({self.model_digest}), so confidences "
            "are not calibrated; run edged eval --fit-confidence, or remove the file"
        )


def confidence(outcome: Outcome, curves: Curves | None) -> Confidence:
    """Return how sure one may be of an answer.

    Only answers that the model completed itself are calibrated. What the closing at the cap wrote
    on, nobody is sure of.
    """
    if curves is not None and outcome.finish == "schema" and outcome.fields:
        return curves.confidence(outcome.fields)
    fields = {
        score.name: 0.0 if score.is_closed else math.exp(score.log_p_min)
        for score in outcome.fields
    }
    is_closed = outcome.filled or any(score.is_closed for score in outcome.fields)
    return Confidence(0.0 if is_closed else outcome.confidence, fields, False)


def least_log_p(scores: tuple[FieldScore, ...]) -> float:
    """Return the log probability of the least sure token of an answer."""
    return min(score.log_p_min for score in scores)


def sum_log_p(scores: tuple[FieldScore, ...]) -> float:
    """Return the log probability of all that was chosen for an answer's fields."""
    return sum(score.log_p_sum for score in scores)


def log_odds(log_p: float) -> float:
    """Return the log odds of a log probability, within ±`LOG_ODDS_MAX`."""
    sure = -math.exp(-LOG_ODDS_MAX)
    odds = log_p - math.log(-math.expm1(min(log_p, sure)))
    return max(-LOG_ODDS_MAX, min(LOG_ODDS_MAX, odds))


def table_path(templates_dir: Path) -> Path:
    """Return where the table of a model lies: beside its templates' folder."""
    return templates_dir.parent / "calibration.json"


def load(templates_dir: Path | None, templates: Mapping[str, Template]) -> Calibration:
    """Return the curves that count for these templates; a missing table has none.

    Raises:
        ConfigError: the file is no such table.
    """
    path = None if templates_dir is None else table_path(templates_dir)
    if path is None or not path.is_file():
        return Calibration()
    table = _read(path)
    counts = {
        name: curves
        for name, curves in table.templates.items()
        if name in templates and templates[name].digest == curves.digest
    }
    if others := sorted((set(table.templates) & set(templates)) - set(counts)):
        log.warning(
            "%s: fitted on another version of %s, whose confidences are not calibrated; run "
            "edged eval --fit-confidence",
            path,
            ", ".join(others),
        )
    return Calibration(
        model_digest=table.model,
        forms={curves.digest: curves.forms for curves in counts.values()},
        schemas={curves.digest: templates[name].schema for name, curves in counts.items()},
    )


def _read(path: Path) -> Table:
    try:
        return _TABLE.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigError(
            f"{path}: no calibration table of version 1; remove it, or write it again with edged "
            f"eval --fit-confidence: {error}"
        ) from error


def write(path: Path, table: Table) -> None:
    """Write the table; a reader sees the old one or the new one.

    Raises:
        ConfigError: it cannot be written there.
    """
    text = json.dumps(asdict(table), indent=1)
    try:
        fresh = path.with_suffix(".new")
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: the table cannot be written: {error}; copy the folder of the templates to "
            "where you may write, and name it in model.templates_dir"
        ) from error
