"""The configuration: one TOML file, read once at start; unknown keys are errors.

In:  the path of a TOML file, or none for the defaults.     Out: a frozen `Config`.
Every number carries its unit in its name and its range in its field. A restart is the reload.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from edged.config_range import allowed, plain_types
from edged.errors import ConfigError

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


def _topic_filter(value: str) -> str:
    levels = value.split("/")
    if not value or value.startswith(("$", "/")) or "\0" in value or len(value.encode()) > 256:
        raise ValueError("a topic of at most 256 bytes that starts with neither $ nor /")
    for place, level in enumerate(levels):
        if ("#" in level and (level != "#" or place != len(levels) - 1)) or (
            "+" in level and level != "+"
        ):
            raise ValueError("+ must stand for a whole level, # for the last ones")
    return value


TopicFilter = Annotated[str, AfterValidator(_topic_filter)]
# Source: ggml's names of its types.
KvType = Literal["f16", "q8_0"]
# Prompts of full length that an unset `engine.kv_tokens` has cells for.
WHOLE_CONTEXTS = 8
# TOML has neither paths nor tuples: these two are converted, nothing else is.
File = Annotated[Path, Strict(False)]
TopicFilters = Annotated[tuple[TopicFilter, ...], Strict(False)]


class Section(BaseModel):
    """A table of the file: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Node(Section):
    """Who this board is."""

    site: Id = Field("dock", description="site, second last level of the topic root")
    name: Id = Field("edge-1", description="this board's name, last level of the topic root")
    state_dir: File | None = Field(
        None,
        description="where spool, lock and socket live; unset: $STATE_DIRECTORY (systemd), "
        "else ~/.local/state/edged",
    )


class Broker(Section):
    """The MQTT broker, as a client sees it."""

    host: str = Field("127.0.0.1", min_length=1, description="name or address of the broker")
    port: int = Field(1883, ge=1, le=65535, description="TCP port; 8883 is usual with TLS")
    protocol: Literal["auto", "5", "3.1.1"] = Field(
        "auto", description="MQTT version; auto tries 5 and falls back to 3.1.1"
    )
    username: str | None = Field(None, description="user name at the broker")
    password_file: File | None = Field(None, description="file whose first line is the password")
    tls_ca_file: File | None = Field(None, description="CA certificates (PEM); set: TLS is used")
    tls_certificate_file: File | None = Field(None, description="own certificate (PEM)")
    tls_key_file: File | None = Field(None, description="own private key (PEM)")
    keepalive_s: int = Field(30, ge=5, le=3600, description="MQTT keep alive")
    session_expiry_s: int = Field(
        604_800, ge=60, le=4_294_967_294, description="how long the broker keeps our session"
    )
    reconnect_s_max: float = Field(30.0, ge=0.5, le=600, description="longest wait to reconnect")
    packet_bytes_max: int = Field(
        4_194_304,
        ge=4096,
        le=268_435_455,
        description="largest MQTT packet; the broker drops larger ones without a word",
    )


class Model(Section):
    """The resident model."""

    name: Id | None = Field("dock-mini", description="a model that ships with edged")
    path: File | None = Field(
        None, description="another GGUF or .rkllm file; takes the place of `name`"
    )
    format: File | None = Field(
        None,
        description="format file for prompt and messages; unset: the GGUF's own chat template; "
        "a .rkllm file needs one",
    )
    templates_dir: File | None = Field(
        None, description="folder of template files; unset: those of the shipped model"
    )
    context_tokens: int = Field(
        1024, ge=128, le=131_072, description="prompt plus answer of one sequence, at most"
    )
    sequences: int = Field(32, ge=1, le=64, description="how many prompts share a batch, at most")
    threads: int | None = Field(
        None, ge=1, le=256, description="compute threads; unset: the fastest cores, at most 4"
    )


class Engine(Section):
    """The engine process."""

    backend: Literal["llama", "rkllm", "sim"] = Field(
        "llama", description="what computes the answers"
    )
    virtual_board: Literal["rk3588", "rk3576"] | None = Field(
        None, description="backend sim: the board whose pace and watts are simulated; unset: none"
    )
    socket: File | None = Field(
        None, description="its UNIX socket; unset: $RUNTIME_DIRECTORY (systemd), else state_dir"
    )
    step_s_max: float = Field(0.5, ge=0.02, le=10, description="longest step planned")
    kv_type: KvType = Field(
        "f16", description="how the KV cache keeps its values; q8_0 takes about half the memory"
    )
    kv_tokens: int | None = Field(
        None,
        ge=128,
        le=8_388_608,
        description="tokens that the KV cache holds, all prompts together; unset: 8 times "
        "model.context_tokens, or less for fewer sequences",
    )
    chunk_tokens: int = Field(
        64, ge=8, le=2048, description="prefill of one step while a streamed answer is written"
    )
    lease_s: float = Field(2.0, ge=0.5, le=60, description="an engine unheard for so long pauses")
    answer_tokens_default: int = Field(
        256, ge=1, le=131_072, description="answer cap of free text without max_tokens"
    )
    string_chars_max: int = Field(
        256, ge=1, le=65_536, description="bound of a schema's strings that name none"
    )
    array_items_max: int = Field(
        32, ge=1, le=4096, description="bound of a schema's arrays that name none"
    )
    schema_bytes_max: int = Field(16_384, ge=64, le=262_144, description="largest schema accepted")


class Rkllm(Section):
    """The NPU through Rockchip's RKLLM runtime; read where engine.backend is rkllm."""

    library: File | None = Field(
        None, description="librkllmrt.so, version 1.3.0; unset: where the system's loader finds it"
    )
    lock: File | None = Field(
        None, description="lock of the board's NPU; unset: /run/lock/edged-npu.lock"
    )
    iommu_domain: int = Field(0, ge=0, le=15, description="of the NPU's memory; 1 if 0 is full")
    token_bytes: int = Field(
        1, ge=1, le=8, description="bytes of a prompt counted as one token; 1 never counts too few"
    )
    prompt_caches: bool = Field(
        True, description="whether to keep the templates' constant parts as files in state_dir"
    )
    load_s_max: float = Field(300, ge=120, le=3600, description="longest load of the model")
    prefill_s_max: float = Field(120, ge=1, le=3600, description="longest wait for a first token")
    token_s_max: float = Field(20, ge=0.1, le=600, description="longest wait for the next token")
    abort_s_max: float = Field(5, ge=0.1, le=600, description="longest wait for an aborted run")


class Requests(Section):
    """What a device may ask for."""

    prompt_bytes_max: int = Field(65_536, ge=256, le=1_048_576, description="largest payload")
    ttl_s_default: float = Field(300, ge=1, le=86_400, description="deadline when none is given")
    ttl_s_max: float = Field(86_400, ge=1, le=86_400, description="longest deadline")
    system_role: bool = Field(False, description="whether clients may send messages of role system")


class Spool(Section):
    """The durable queue."""

    rows_max: int = Field(10_000, ge=10, le=1_000_000, description="unfinished prompts, at most")
    bytes_max: int = Field(
        268_435_456, ge=1_048_576, le=68_719_476_736, description="size of the spool, at most"
    )
    retention_s: float = Field(
        172_800, ge=60, le=31_536_000, description="how long an outcome can be asked for again"
    )
    attempts_max: int = Field(
        2, ge=1, le=10, description="engine deaths with a prompt in the batch before it is `error`"
    )


class Power(Section):
    """The budget, whether it is held, and the coefficients of the estimate."""

    budget_w: float = Field(4.0, ge=0.1, le=1000, description="mean over window_s, whole board")
    window_s: float = Field(10.0, ge=1, le=600, description="window of budget_w")
    peak_w: float | None = Field(
        None, ge=0.1, le=1000, description="mean over peak_window_s; unset: 1.2 times budget_w"
    )
    peak_window_s: float = Field(
        1.0, ge=0.1, le=600, description="window of peak_w; no shorter than engine.step_s_max"
    )
    basis: Literal["total", "over_idle"] = Field(
        "total",
        description="total: watts are those of the whole board; over_idle: above the idle that "
        "edged learned with a meter",
    )
    enforce: Literal["auto", "always", "never"] = Field(
        "auto",
        description="auto: hold the budget where the board or a meter is known; always: also where "
        "nobody knows the watts, then a tenth of the time; never: only show it",
    )
    idle_w: float = Field(
        1.8, ge=0, le=1000, description="estimate: board with the model resident and nothing to do"
    )
    core_w: float = Field(
        0.55, ge=0, le=100, description="estimate: one busy core above idle at core_hz"
    )
    core_hz: float = Field(
        1.8e9, ge=1e8, le=1e10, description="estimate: the clock that core_w belongs to"
    )
    error_share: float = Field(
        0.4, ge=0, le=1, description="estimate: its error band as a share, said in state"
    )


class Client(Section):
    """What one client may do; the table's name is the client's id."""

    default_template: Id | None = Field(None, description="template of its bare-text prompts")
    priority_max: int = Field(7, ge=0, le=9, description="its prompts are capped here")
    system_role: bool = Field(False, description="may send messages of role system")
    response_topics: TopicFilters = Field(
        (), description="further Response Topics allowed, as topic filters"
    )


class Input(Section):
    """A fixed device: which of its topics is a prompt, for whom, and where the answer goes."""

    topic: TopicFilter = Field(description="topic filter to subscribe; each + becomes {1}, {2} ...")
    client: str = Field("{1}", min_length=1, description="client id made from topic levels")
    template: Id = Field(description="template that gets the payload")
    input: dict[str, str] | None = Field(
        None, description="variable -> key of the device's JSON; unset: the payload is the input"
    )
    reply_topic: str | None = Field(
        None, description="where the answer goes, from topic levels; unset: the usual reply topic"
    )


class Config(Section):
    """The whole file."""

    node: Node = Node()
    broker: Broker = Broker()
    model: Model = Model()
    engine: Engine = Engine()
    rkllm: Rkllm = Rkllm()
    requests: Requests = Requests()
    spool: Spool = Spool()
    power: Power = Power()
    clients: dict[Id, Client] = Field(default_factory=dict)
    input: Annotated[tuple[Input, ...], Strict(False)] = ()

    @model_validator(mode="after")
    def _cache_holds_a_context(self) -> Self:
        if self.kv_tokens < self.model.context_tokens:
            raise ValueError(
                f"engine.kv_tokens = {self.kv_tokens}: less than model.context_tokens = "
                f"{self.model.context_tokens}, so a prompt of that length would wait for ever; "
                "raise the one or lower the other"
            )
        return self

    @property
    def kv_tokens(self) -> int:
        """Return the tokens that the KV cache holds, all prompts together; llama.cpp pads them."""
        if self.engine.kv_tokens is not None:
            return self.engine.kv_tokens
        return self.model.context_tokens * min(self.model.sequences, WHOLE_CONTEXTS)

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
        if self.engine.socket is not None:
            return self.engine.socket
        given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        return (Path(given) if given else self.state_dir) / "engine.sock"

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
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
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
