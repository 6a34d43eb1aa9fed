"""Templates: what a device names instead of writing a prompt.

In:  template files (TOML) beside a model, or in `model.templates_dir`.     Out: the three pieces of
a prompt (root, payload, suffix) for one input, and the description that devices can read.
Pure after `load`. Does not know: tokens, the engine, MQTT.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edged.bounds import Bounds
from edged.engine.compact import obstacle
from edged.engine.frames import OnCap, Prompt, Wire
from edged.errors import ConfigError, Refusal
from edged.table_form import TableForm

_VARIABLE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class _Variable(Bounds):
    description: str
    rows: TableForm | None = None


class _Example(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    input: str | dict[str, Any]
    answer: str


class _File(BaseModel):
    """A template file as written; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    description: str = ""
    root: str = Field(min_length=1)
    payload: str
    suffix: str = ""
    json_schema: str | None = Field(None, alias="schema")
    wire: Wire = "json"
    max_tokens: int | None = Field(None, ge=1)
    on_cap: OnCap = "close"
    variables: dict[str, _Variable] = Field(min_length=1)
    example: _Example


@dataclass(frozen=True, slots=True)
class Template:
    """One template.

    Attributes:
        variables: name -> description, in the file's order.
        table_forms: name -> how its rows are written, for the variables that are lists of rows.
        bounds: name -> how long its text may be and of which characters, where the file says.
        schema: compact JSON text, its keys in the file's order; None for free text.
        max_tokens: answer cap when the request names none.
        on_cap: whether an answer that reaches its cap is closed by the schema, or fails.
        digest: of the file's bytes, `sha256:` and 64 hex digits.
        wire: how the model writes the answer; a device sees the same JSON in both forms.
    """

    name: str
    description: str
    root: str
    payload: str
    suffix: str
    variables: Mapping[str, str]
    schema: str | None
    max_tokens: int | None
    on_cap: OnCap
    example_input: str | Mapping[str, Any]
    example_answer: str
    digest: str
    wire: Wire = "json"
    table_forms: Mapping[str, TableForm] = field(default_factory=dict)
    bounds: Mapping[str, Bounds] = field(default_factory=dict)

    def prompt(self, given: str | Mapping[str, Any]) -> Prompt:
        """Return the prompt for one input.

        Args:
            given: the variables' values, or the text of the only variable. What is not a string
                becomes compact JSON; rows are written as the template file says.

        Raises:
            Refusal: `malformed`, a variable is missing, unknown, empty or out of its bounds, or no
                list of rows.
        """
        values = self._values(given)
        payload = _VARIABLE.sub(lambda found: values[found[1]], self.payload)
        return Prompt(root=self.root, payload=payload, suffix=self.suffix)

    @property
    def wire_forms(self) -> tuple[Wire, ...]:
        """Return the forms that an answer can be written in."""
        return ("json",) if _no_compact_form(self) else ("json", "compact")

    def described(self) -> bytes:
        """Return the JSON that a device reads on the template's topic."""
        schema = None if self.schema is None else json.loads(self.schema)
        table = {
            "name": self.name,
            "description": self.description,
            "variables": dict(self.variables),
            "schema": schema,
            "example": {"input": self.example_input, "answer": _answer(self)},
            "digest": self.digest,
        }
        if self.bounds:
            table["bounds"] = {
                name: one.model_dump(exclude_none=True) for name, one in self.bounds.items()
            }
        return json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()

    def _values(self, given: str | Mapping[str, Any]) -> dict[str, str]:
        if isinstance(given, str):
            if len(self.variables) != 1:
                wanted = ", ".join(self.variables)
                raise Refusal("malformed", f"input: template {self.name} wants an object: {wanted}")
            given = {next(iter(self.variables)): given}
        if given.keys() != self.variables.keys():
            raise self._misnamed(given)
        values = {name: self._written(name, given[name]) for name in self.variables}
        empty = [name for name, text in values.items() if not text.strip()]
        if empty:
            raise Refusal("malformed", f"input.{empty[0]}: empty")
        for name, one in self.bounds.items():
            one.check(name, values[name])
        return values

    def _misnamed(self, given: Mapping[str, Any]) -> Refusal:
        missing = ", ".join(name for name in self.variables if name not in given) or "none"
        unknown = ", ".join(name for name in given if name not in self.variables) or "none"
        told, wanted = f"missing {missing}, unknown {unknown}", ", ".join(self.variables)
        detail = f"input: {told[:200]}; template {self.name} wants: {wanted}"
        return Refusal("malformed", detail)

    def _written(self, name: str, value: object) -> str:
        form = self.table_forms.get(name)
        return _text(value) if form is None else form.written(name, value)


def load(folder: Path) -> dict[str, Template]:
    """Return the templates in `folder`, by name; an absent folder has none.

    Raises:
        ConfigError: names file, key and what is wrong.
    """
    if not folder.is_dir():
        return {}
    templates = [_read(path) for path in sorted(folder.glob("*.toml"))]
    by_name = {template.name: template for template in templates}
    for template in templates:
        if by_name[template.name] is not template:
            raise ConfigError(f"{folder}: two templates have the same name: {template.name}")
    return by_name


def _read(path: Path) -> Template:
    try:
        content = path.read_bytes()
        file = _File.model_validate(tomllib.loads(content.decode("utf-8")))
    except ValidationError as error:
        lines = [_problem(path, item) for item in error.errors()]
        raise ConfigError("\n".join(lines)) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    template = Template(
        name=file.name,
        description=file.description.strip(),
        root=file.root,
        payload=file.payload,
        suffix=file.suffix,
        variables={name: item.description for name, item in file.variables.items()},
        schema=_schema(path, file.json_schema),
        max_tokens=file.max_tokens,
        on_cap=file.on_cap,
        example_input=file.example.input,
        example_answer=file.example.answer,
        digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
        wire=file.wire,
        table_forms={name: item.rows for name, item in file.variables.items() if item.rows},
        bounds={name: one for name, item in file.variables.items() if (one := _bounds(item))},
    )
    _check(path, template)
    return template


def _bounds(item: _Variable) -> Bounds | None:
    bounds = Bounds(chars_max=item.chars_max, characters=item.characters)
    return None if bounds == Bounds() else bounds


def _problem(path: Path, item: Any) -> str:
    key = ".".join(str(level) for level in item["loc"])
    return f"{path}: {key} = {str(item['input'])[:80]!r}: {item['msg']}"


def _schema(path: Path, text: str | None) -> str | None:
    """Return the schema as compact JSON text, its keys in the file's order."""
    if text is None:
        return None
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path}: schema: not JSON: {error}") from error
    if not isinstance(schema, dict):
        raise ConfigError(f"{path}: schema: must be a JSON object")
    return json.dumps(schema, separators=(",", ":"))


def _check(path: Path, template: Template) -> None:
    """Refuse a file whose variables, example or wire form do not fit the rest of it."""
    used, named = set(_VARIABLE.findall(template.payload)), set(template.variables)
    if used != named:
        names = ", ".join(sorted(used ^ named))
        raise ConfigError(f"{path}: payload and [variables] must name the same: {names}")
    try:
        template.prompt(template.example_input)
    except Refusal as refusal:
        raise ConfigError(f"{path}: example.{refusal.detail}") from refusal
    try:
        _answer(template)
    except ValueError as error:
        raise ConfigError(f"{path}: example.answer: not JSON: {error}") from error
    problem = _no_compact_form(template)
    if template.wire == "compact" and problem is not None:
        raise ConfigError(f'{path}: wire = "compact": {problem}; or write wire = "json"')


def _no_compact_form(template: Template) -> str | None:
    """Return why answers cannot be written compactly; None when they can."""
    if template.schema is None:
        return "there is no schema; give one whose top level is an object of fixed keys"
    problem = obstacle(json.loads(template.schema))
    return None if problem is None else f"schema: {problem}"


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _answer(template: Template) -> Any:
    return (
        template.example_answer if template.schema is None else json.loads(template.example_answer)
    )
