"""The metrics: what is counted while the daemon runs, and what the board shows when it is asked.

In:  replies from the diary; the board's state and joules.     Out: families of prometheus-client,
in a registry of their own. docs/metrics.md lists them.
No label is a client or an id: the number of series does not grow with the fleet or with time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from edged.contract import Reply
from edged.power.account import Joules
from edged.power.budget import State

# Source: OpenTelemetry's semantic conventions for generative AI, metrics, ExplicitBucketBoundaries.
_REQUEST_S = tuple(0.01 * 2**power for power in range(14))
_FIRST_TOKEN_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
_TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)


class Metrics:
    """What happened to prompts since the start of the daemon."""

    def __init__(self) -> None:
        # The time of each series' birth, as a series of its own; the library knows no switch for
        # one registry.
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library annotates it not
        self.registry = into = CollectorRegistry()
        self.accepted = Counter("edged_accepted", "Prompts that became durable.", registry=into)
        self.refused = Counter(
            "edged_refused", "Messages that got no place in the spool.", ["reason"], registry=into
        )
        self.requeued = Counter(
            "edged_requeued", "Prompts in the batch of an engine that ended.", registry=into
        )
        self.delivered = Counter(
            "edged_delivered", "Outcomes that the broker has acknowledged.", registry=into
        )
        self._outcomes = Counter(
            "edged_outcomes", "Outcomes that were stored.", ["event", "reason"], registry=into
        )
        self._prompt_tokens = Counter(
            "edged_prompt_tokens", "Prompt tokens of outcomes.", ["source"], registry=into
        )
        self._output_tokens = Counter(
            "edged_output_tokens", "Output tokens of outcomes.", ["source"], registry=into
        )
        self._joules = Counter(
            "edged_outcome_joules", "Joules above idle of outcomes.", ["source"], registry=into
        )
        self._queued_s = Histogram(
            "edged_queue_seconds",
            "From acceptance to the start; done only.",
            buckets=_REQUEST_S,
            registry=into,
        )
        self._total_s = Histogram(
            "edged_request_seconds",
            "From acceptance to the last token; done only.",
            buckets=_REQUEST_S,
            registry=into,
        )
        self._first_token_s = Histogram(
            "edged_time_to_first_token_seconds",
            "From acceptance to the first token; done only.",
            buckets=_FIRST_TOKEN_S,
            registry=into,
        )
        self._token_s = Histogram(
            "edged_time_per_output_token_seconds",
            "Mean of an answer's tokens after the first; done only.",
            buckets=_TOKEN_S,
            registry=into,
        )

    def take(self, reply: Reply) -> None:
        """Count an outcome, and what it took."""
        self._outcomes.labels(reply.event, reply.reason or "").inc()
        if (usage := reply.usage) is not None:
            self._prompt_tokens.labels("cache").inc(usage.cached_tokens)
            self._prompt_tokens.labels("prefill").inc(usage.prompt_tokens - usage.cached_tokens)
            self._output_tokens.labels("forced").inc(usage.forced_tokens)
            self._output_tokens.labels("sampled").inc(usage.output_tokens - usage.forced_tokens)
        if reply.energy is not None:
            self._joules.labels(reply.energy.source).inc(max(0.0, reply.energy.j))
        if reply.event == "done":
            self._take_seconds(reply)

    def _take_seconds(self, reply: Reply) -> None:
        timing, usage = reply.timing, reply.usage
        if timing is None or usage is None:
            return
        self._queued_s.observe(timing.queued_s)
        self._total_s.observe(timing.total_s)
        if timing.ttft_s is None:
            return
        self._first_token_s.observe(timing.ttft_s)
        if usage.output_tokens > 1:
            self._token_s.observe((timing.total_s - timing.ttft_s) / (usage.output_tokens - 1))


@dataclass(frozen=True, slots=True)
class Figures:
    """What the board shows at one moment.

    Attributes:
        state: as the contract's `state` topic carries it.
        joules: since the first start of the state directory.
        is_connected: whether the broker hears the board.
    """

    state: Mapping[str, Any]
    joules: Joules
    is_connected: bool


class BoardCollector(Collector):
    """Makes families of what the board shows, each time it is asked.

    Args:
        ask: returns the figures of now; called in the thread that collects.
        since: the joules as the daemon started. The counters begin there: the books of a crashed
            daemon are up to a minute old, and a counter that goes back by a joule would be read
            as one that began again, with all its joules at once.
    """

    def __init__(self, ask: Callable[[], Figures], since: Joules) -> None:
        self._ask = ask
        self._since = since
        self._board_j = self._idle_j = 0.0

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily | InfoMetricFamily]:
        """Yield every family."""
        figures = self._ask()
        yield from _infos(figures.state)
        yield from _works(figures)
        yield from _watts(figures.state["power"])
        # A meter may correct what an estimate said before it; a counter never goes back.
        joules, since = figures.joules, self._since
        self._board_j = max(self._board_j, joules.counter_j - since.counter_j)
        self._idle_j = max(self._idle_j, joules.idle_j - since.idle_j)
        yield CounterMetricFamily(
            "edged_board_joules", "Joules of the whole board.", value=self._board_j
        )
        yield CounterMetricFamily(
            "edged_board_idle_joules", "Those of them that idling costs.", value=self._idle_j
        )


def _infos(state: Mapping[str, Any]) -> Iterator[InfoMetricFamily]:
    yield InfoMetricFamily("edged_build", "This daemon.", {"version": state["version"]})
    if state["model"] is not None:
        told = {name: "" if said is None else str(said) for name, said in state["model"].items()}
        yield InfoMetricFamily("edged_model", "The resident model.", told)


def _works(figures: Figures) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
    state, queue = figures.state, figures.state["queue"]
    ready = state["engine"]["phase"] == "ready"
    yield _gauge("edged_engine_ready", "1 while the model answers.", ready)
    yield _gauge("edged_broker_connected", "1 while subscribed.", figures.is_connected)
    yield _gauge(
        "edged_spool_writable", "0 while the disk will not.", not state["spool"]["problem"]
    )
    prompts = GaugeMetricFamily("edged_prompts", "Prompts without an outcome.", labels=["state"])
    for name in ("queued", "running"):
        prompts.add_metric([name], queue[name])
    yield prompts
    limit = state["limits"]["queue"]
    yield _gauge("edged_prompts_limit", "So many are taken at most.", limit)
    text = "Messages refused without anybody to tell."
    yield CounterMetricFamily("edged_unanswerable", text, value=state["unanswerable"])
    if state["temperature_c"] is not None:
        yield _gauge("edged_temperature_celsius", "The hottest zone.", state["temperature_c"])


def _watts(power: Mapping[str, Any]) -> Iterator[GaugeMetricFamily]:
    yield _gauge("edged_power_watts", "Mean over the budget's window.", power["mean_w"])
    yield _gauge("edged_power_limit_watts", "The budget that is held.", power["limit_w"])
    yield _gauge("edged_power_error_ratio", "Band of the watts.", power["error_share"])
    standing = GaugeMetricFamily("edged_power_state", "1 for the one it is in.", labels=["state"])
    for one in State:
        standing.add_metric([one.value], one.value == power["state"])
    yield standing
    source = GaugeMetricFamily("edged_power_source_info", "Who says the watts.", labels=["source"])
    source.add_metric([power["source"]], 1)
    yield source


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
