"""What a bundle says of itself: `model.toml` or `templates.toml`.

In:  the text of that file, which a signature covers.     Out: `About`, and what it is measured by.
Pure.
"""

from __future__ import annotations

import tomllib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from edged.errors import StoreRefused
from edged.misfits import misfits

Kind = Literal["model", "templates"]
ABOUT: dict[Kind, str] = {"model": "model.toml", "templates": "templates.toml"}

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# Rows of each template that are asked before a bundle is active, spread over its set.
ROWS = 40


class Evaluation(BaseModel):
    """What a bundle must reach on its own set, `eval/held_out/TEMPLATE.jsonl`.

    Attributes:
        exact_match_min: least share of exact answers; by default each only has to be complete.
        rows: asked of each template, at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    exact_match_min: float = Field(0.0, ge=0, le=1)
    rows: int = Field(ROWS, ge=1, le=10_000)


class About(BaseModel):
    """A bundle, by its own word; keys that only people read are left.

    Attributes:
        version: counts up; a board takes no lower one than it ever had active.
        file: of a model: its file in the bundle.
        sha256: of that file.
        model: of templates: digest of the model that they are for; None: for any.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: _Name
    version: int = Field(ge=1, le=2**53)
    file: str | None = None
    sha256: _Sha256 | None = None
    model: str | None = Field(None, pattern=r"^sha256:[0-9a-f]{64}$")
    evaluation: Evaluation = Evaluation()


def read_about(kind: Kind, content: bytes) -> About:
    """Return what a bundle says of itself.

    Raises:
        StoreRefused: names the key that is wrong.
    """
    file = ABOUT[kind]
    try:
        about = About.model_validate(tomllib.loads(content.decode("utf-8")))
    except ValidationError as error:
        raise StoreRefused(f"{file}: {misfits(error)[0]}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StoreRefused(f"{file}: cannot be read as TOML: {error}") from error
    if kind == "model" and (about.file is None or about.sha256 is None):
        raise StoreRefused(f"{file}: give file and sha256 of the model")
    return about
