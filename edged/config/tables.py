"""The tables of the configuration: what each key is called, takes and does.

In:  values of a TOML file.     Out: frozen tables; a key that they do not know is an error.
Every number carries its unit in its name and its range in its field.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
)

from edged import credentials

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
METERS = ("auto", "hwmon", "powercap", "estimate")
# As `board.meters.hwmon` names a chip: its driver's name, where its device sits, a channel.
CHIP = re.compile(r"[a-z0-9]+@[A-Za-z0-9:._-]+(/[1-3])?")


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


def _meter(value: str) -> str:
    if value not in METERS and CHIP.fullmatch(value) is None:
        raise ValueError(
            f"{', '.join(METERS)}, or a chip by name and place, such as ina226@1-0040 or, with its "
            "channel, ina3221@1-0040/2"
        )
    return value


TopicFilter = Annotated[str, AfterValidator(_topic_filter)]
MeterName = Annotated[str, AfterValidator(_meter)]
# Source: ggml's names of its types.
KvType = Literal["f16", "q8_0"]
# Prompts of full length that an unset `engine.kv_tokens` has cells for.
WHOLE_CONTEXTS = 8
# TOML has neither paths nor tuples: these two are converted, nothing else is.
File = Annotated[Path, Strict(False)]
SecretFile = Annotated[Path, Strict(False), AfterValidator(credentials.checked)]
TopicFilters = Annotated[tuple[TopicFilter, ...], Strict(False)]
Files = Annotated[tuple[File, ...], Strict(False)]


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

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="name or address of the broker, or the path of its UNIX socket",
    )
    port: int = Field(1883, ge=1, le=65535, description="TCP port; 8883 is usual with TLS")
    protocol: Literal["auto", "5", "3.1.1"] = Field(
        "auto", description="MQTT version; auto tries 5 and falls back to 3.1.1"
    )
    username: str | None = Field(None, description="user name at the broker")
    password_file: SecretFile | None = Field(
        None,
        description="file whose first line is the password; `credential:NAME`: one of systemd's",
    )
    tls_ca_file: File | None = Field(None, description="CA certificates (PEM); set: TLS is used")
    tls_certificate_file: SecretFile | None = Field(None, description="own certificate (PEM)")
    tls_key_file: SecretFile | None = Field(
        None, description="own private key (PEM); `credential:NAME`: one of systemd's"
    )
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

    @property
    def is_near(self) -> bool:
        """Return whether it is reached by a UNIX socket on this machine."""
        return self.host.startswith("/")

    @property
    def where(self) -> str:
        """Return its address, in words."""
        return self.host if self.is_near else f"{self.host}:{self.port}"


class Model(Section):
    """The resident model."""

    name: Id | None = Field("dock-mini", description="a model that ships with edged")
    path: File | None = Field(
        None, description="another GGUF or .rkllm file; takes the place of `name`"
    )
    folder: File | None = Field(
        None,
        description="folder of a model with its model.toml, format and templates; takes the place "
        "of `name`, and is loaded as it is",
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

    backend: Literal["llama", "rkllm", "rknn", "sim"] = Field(
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


class Store(Section):
    """Whose models and templates come onto this board."""

    keys: Files = Field((), description="public keys (PEM) whose signatures count")
    authorities: Files = Field(
        (), description="certificate authorities (PEM) whose signers' signatures count"
    )
    allow_unsigned: bool = Field(
        False, description="whether what nobody signed may be installed and run; `state` says so"
    )


class Admin(Section):
    """The socket for the people who run this board: status, pause, drain, budget."""

    socket: File | None = Field(
        None, description="its UNIX socket; unset: $RUNTIME_DIRECTORY (systemd), else state_dir"
    )
    mode: Literal["0600", "0660"] = Field(
        "0660", description="who may use it: 0600 edged's user and root, 0660 also edged's group"
    )
    mqtt: bool = Field(
        False,
        description="whether budget, drain, models and templates may be ordered over MQTT too, by "
        "whoever the broker lets publish to cmd/{budget,drain,model,templates}/{id}",
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
    meter: MeterName = Field(
        "auto",
        description="who says the watts: auto takes the best that is there; hwmon, powercap, "
        "estimate, or one chip such as ina226@1-0040",
    )
    shunt_ohm: float | None = Field(
        None,
        ge=0.0001,
        le=1,
        description="the shunt that is soldered to the chip; unset: the driver's is believed",
    )
    sysfs: File | None = Field(
        None,
        description="where the kernel tells of meters and clocks; unset: /sys; a folder laid out "
        "like it is a trial",
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


class Plug(Section):
    """A plug or metering relay on MQTT, for `edged calibrate` alone."""

    kind: Literal["shelly", "tasmota"] = Field(
        "shelly", description="whose payloads it sends: Shelly Gen2 and later, or Tasmota"
    )
    topic: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        pattern=r"^[^$/+#][^+#]*$",
        description="Shelly's MQTT prefix, Tasmota's topic; unset: there is no plug",
    )
    boundary: Literal["wall", "board_input"] = Field(
        "wall", description="where it sits: before the board's supply, or behind it"
    )
    period_s: float = Field(
        300.0, ge=1, le=3600, description="how often it tells; Tasmota's TelePeriod is 300 s"
    )


class Quota(Section):
    """What each client may ask, where its own table does not say otherwise."""

    outstanding_max: int = Field(
        5_000, ge=1, le=1_000_000, description="unfinished prompts of one client, at most"
    )
    tokens_per_minute: float | None = Field(
        None, ge=1, le=1e9, description="of prompts and answers of one client; unset: any number"
    )
    joules_per_minute: float | None = Field(
        None, ge=0.001, le=1e6, description="above idle, for one client; unset: any number"
    )


class Metrics(Section):
    """Where the metrics go."""

    textfile: File | None = Field(
        None,
        description="file for node_exporter, none where its folder is missing; unset: "
        "/var/lib/prometheus/node-exporter/edged.prom",
    )
    port: int | None = Field(
        None, ge=1, le=65535, description="TCP port on 127.0.0.1 for Prometheus; unset: none"
    )

    @property
    def path(self) -> Path:
        """Return the file."""
        # Source: Debian's prometheus-node-exporter, --collector.textfile.directory.
        return self.textfile or Path("/var/lib/prometheus/node-exporter/edged.prom")


class ScheduledBudget(Section):
    """A budget of the daily schedule, from its time of day until the next one's."""

    at: Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = Field(
        description="local time of day, HH:MM"
    )
    budget_w: float = Field(ge=0.1, le=1000, description="takes the place of power.budget_w")
    peak_w: float | None = Field(
        None, ge=0.1, le=1000, description="takes the place of power.peak_w; unset: that one"
    )


class Client(Section):
    """What one client may do; the table's name is the client's id."""

    default_template: Id | None = Field(None, description="template of its bare-text prompts")
    priority_max: int = Field(7, ge=0, le=9, description="its prompts are capped here")
    system_role: bool = Field(False, description="may send messages of role system")
    response_topics: TopicFilters = Field(
        (), description="further Response Topics allowed, as topic filters"
    )
    outstanding_max: int | None = Field(
        None, ge=1, le=1_000_000, description="its unfinished prompts; unset: as in [quota]"
    )
    tokens_per_minute: float | None = Field(
        None, ge=1, le=1e9, description="of its prompts and answers; unset: as in [quota]"
    )
    joules_per_minute: float | None = Field(
        None, ge=0.001, le=1e6, description="above idle, for it; unset: as in [quota]"
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
