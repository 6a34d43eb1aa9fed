"""The configuration: one TOML file, read once at start; unknown keys are errors.

In:  the path of a TOML file, or none for the defaults.     Out: a frozen `Config`.
Every number carries its unit in its name and its range in its field. A restart is the reload.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, Strict, ValidationError, model_validator
from pydantic.fields import FieldInfo

from edged.config.npu import Npu, Rkllm, Rknn
from edged.config.ranges import allowed, plain_types
from edged.config.tables import (
    WHOLE_CONTEXTS,
    Admin,
    Broker,
    Client,
    Engine,
    Id,
    Input,
    Metrics,
    Model,
    Node,
    Plug,
    Power,
    Quota,
    Requests,
    ScheduledBudget,
    Section,
    Spool,
    Store,
)
from edged.errors import ConfigError


class Config(Section):
    """The whole file."""

    node: Node = Node()
    broker: Broker = Broker()
    model: Model = Model()
    engine: Engine = Engine()
    npu: Npu = Npu()
    rkllm: Rkllm = Rkllm()
    rknn: Rknn = Rknn()
    requests: Requests = Requests()
    spool: Spool = Spool()
    store: Store = Store()
    admin: Admin = Admin()
    power: Power = Power()
    plug: Plug = Plug()
    quota: Quota = Quota()
    metrics: Metrics = Metrics()
    clients: dict[Id, Client] = Field(default_factory=dict)
    input: Annotated[tuple[Input, ...], Strict(False)] = ()
    budget: Annotated[tuple[ScheduledBudget, ...], Strict(False)] = ()

    @model_validator(mode="after")
    def _cache_holds_a_context(self) -> Self:
        if self.kv_tokens < self.model.context_tokens:
            raise ValueError(
                f"engine.kv_tokens = {self.kv_tokens}: less than model.context_tokens = "
                f"{self.model.context_tokens}, so a prompt of that length would wait for ever; "
                "raise the one or lower the other"
            )
        return self

    @model_validator(mode="after")
    def _broker_is_told_all(self) -> Self:
        broker = self.broker
        own = (broker.tls_certificate_file, broker.tls_key_file)
        if any(own) and broker.tls_ca_file is None:
            raise ValueError(
                "broker.tls_certificate_file and broker.tls_key_file do nothing without "
                "broker.tls_ca_file: nothing would be encrypted; name the authority's certificate"
            )
        if broker.tls_key_file is not None and broker.tls_certificate_file is None:
            raise ValueError("broker.tls_key_file: name broker.tls_certificate_file too")
        if broker.password_file is not None and broker.username is None:
            raise ValueError("broker.password_file: name broker.username too")
        return self

    @model_validator(mode="after")
    def _schedule_is_clear(self) -> Self:
        times = [entry.at for entry in self.budget]
        twice = next((at for at in times if times.count(at) > 1), None)
        if twice is not None:
            raise ValueError(f'[[budget]] at = "{twice}" stands twice; keep one of them')
        return self

    @property
    def kv_tokens(self) -> int:
        """Return the tokens that the KV cache holds, all prompts together; llama.cpp pads them."""
        if self.engine.kv_tokens is not None:
            return self.engine.kv_tokens
        return self.model.context_tokens * min(self.model.sequences, WHOLE_CONTEXTS)

    def quota_of(self, client: str) -> Quota:
        """Return what a client may ask: what its own table says, else what all may."""
        rights = self.clients.get(client)
        if rights is None:
            return self.quota
        own = {name: getattr(rights, name) for name in Quota.model_fields}
        return self.quota.model_copy(
            update={name: value for name, value in own.items() if value is not None}
        )

    @property
    def state_dir(self) -> Path:
        """Return the folder of spool, lock and, in a shell, socket."""
        if self.node.state_dir is not None:
            return self.node.state_dir
        # Source: systemd.exec(5), StateDirectory=: several folders are separated by colons.
        given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        return Path(given) if given else Path.home() / ".local/state/edged"

    @property
    def engine_socket(self) -> Path:
        """Return the path of the engine's UNIX socket."""
        return self.engine.socket or self._runtime_dir / "engine.sock"

    @property
    def admin_socket(self) -> Path:
        """Return the path of the UNIX socket that the daemon takes orders on."""
        return self.admin.socket or self._runtime_dir / "admin.sock"

    @property
    def _runtime_dir(self) -> Path:
        given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        return Path(given) if given else self.state_dir

    @property
    def uses_npu(self) -> bool:
        """Return whether the engine is to compute on the NPU."""
        engine, library = self.engine.backend, self.npu.library
        return engine in ("rkllm", "rknn") or (engine == "llama" and library is not None)

    @property
    def npu_lock(self) -> Path:
        """Return the path of the lock that allows one NPU client on this board."""
        return self.rkllm.lock or Path("/run/lock/edged-npu.lock")


def placed(config: Config, state_dir: Path | None, socket: Path | None) -> Config:
    """Return the configuration with its files elsewhere, where a path is given."""
    node, engine = config.node, config.engine
    if state_dir is not None:
        node = node.model_copy(update={"state_dir": state_dir})
    if socket is not None:
        engine = engine.model_copy(update={"socket": socket})
    return config.model_copy(update={"node": node, "engine": engine})


def load(path: Path | None) -> Config:
    """Return the configuration of `path`, or the defaults.

    Raises:
        ConfigError: names file, key, value and what is allowed.
    """
    if path is None:
        return Config()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    # Other ValueErrors of tomllib: a number of thousands of digits, a date that no calendar has.
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
    return parse(table, str(path))


def parse(table: dict[str, Any], origin: str) -> Config:
    """Return the configuration in `table`; `origin` names it in errors.

    Raises:
        ConfigError: names origin, key, value and what is allowed, one line each.
    """
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        lines = [_problem(origin, item) for item in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def _problem(origin: str, item: Any) -> str:
    if not item["loc"]:  # keys that do not go together: the text names them
        return f"{origin}: {item['ctx']['error']}"
    key = ".".join(str(level) for level in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{origin}: {key}: unknown key; `edged config --example` lists all"
    if item["type"] == "missing":
        return f"{origin}: {key}: required"
    field = _field(item["loc"])
    choices = "" if field is None else allowed(field)
    tail = f"; allowed: {choices}" if choices else ""
    return f"{origin}: {key} = {item['input']!r}: {item['msg']}{tail}"


def _field(loc: tuple[str | int, ...]) -> FieldInfo | None:
    """Return the field at a key's place in the file; None for a table."""
    section: type[BaseModel] = Config
    for level in loc:
        item = section.model_fields.get(str(level))
        if item is None:
            continue  # a client's name, a place in a list
        inner = next(
            (kind for kind in plain_types(item.annotation) if issubclass(kind, Section)), None
        )
        if inner is None:
            return item
        section = inner
    return None
