"""What is counted, and that the page, the alert rules and the dashboard speak of nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from edged.diary import Diary
from edged.metrics import BoardCollector, Metrics
from edged.power.account import Joules
from tests.docs_fixtures import code, table
from tests.metrics_fixtures import (
    answered,
    busy_registry,
    families,
    figures,
    needs_promtool,
    promtool,
    reply,
    series,
    write_yaml,
)

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "metrics.md"
RULES = DOCS / "prometheus" / "edged.rules.yml"
DASHBOARD = DOCS / "prometheus" / "edged.dashboard.json"

# What each alert takes to fire within half an hour: series of one board, in promtool's notation.
ALARMS: dict[str, dict[str, str]] = {
    "EdgedSilent": {'node_textfile_mtime_seconds{file="/x/edged.prom"}': "0x40"},
    "EdgedEngineNotReady": {"edged_engine_ready": "0x40"},
    "EdgedEngineEnds": {"edged_requeued_total": "0+1x40"},
    "EdgedBrokerLost": {"edged_broker_connected": "0x40"},
    "EdgedSpoolUnwritable": {"edged_spool_writable": "0x40"},
    "EdgedQueueFills": {'edged_prompts{state="queued"}': "60x40", "edged_prompts_limit": "100x40"},
    "EdgedRefuses": {'edged_refused_total{reason="queue_full"}': "0+1x40"},
    "EdgedErrors": {
        'edged_outcomes_total{event="error",reason="cap"}': "0+1x40",
        'edged_outcomes_total{event="done",reason=""}': "0+9x40",
    },
    "EdgedExpires": {
        'edged_outcomes_total{event="expired",reason=""}': "0+1x40",
        'edged_outcomes_total{event="done",reason=""}': "0+9x40",
    },
    "EdgedBudgetInfeasible": {'edged_power_state{state="infeasible_peak"}': "1x40"},
    "EdgedBlind": {'edged_power_state{state="blind"}': "1x40"},
    "EdgedOverBudget": {
        "edged_power_watts": "5x40",
        "edged_power_limit_watts": "4x40",
        'edged_power_state{state="off"}': "0x40",
    },
    "EdgedHot": {"edged_temperature_celsius": "91x40"},
}
# A board that works within its budget, and now and then refuses what is malformed.
WELL = {
    "edged_engine_ready": "1x40",
    "edged_broker_connected": "1x40",
    "edged_spool_writable": "1x40",
    "edged_requeued_total": "0x40",
    'edged_prompts{state="queued"}': "40x40",
    "edged_prompts_limit": "100x40",
    'edged_refused_total{reason="malformed"}': "0+1x40",
    'edged_outcomes_total{event="done",reason=""}': "0+99x40",
    'edged_outcomes_total{event="expired",reason=""}': "0+1x40",
    'edged_power_state{state="ok"}': "1x40",
    'edged_power_state{state="infeasible"}': "0x40",
    'edged_power_state{state="off"}': "0x40",
    "edged_power_watts": "4.1x40",
    "edged_power_limit_watts": "4x40",
    "edged_temperature_celsius": "70x40",
}


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_an_outcome_counts_its_tokens_by_where_they_came_from() -> None:
    metrics = Metrics()
    metrics.take(reply(answered()[1]))
    told = {
        (name, source): value(metrics.registry, f"edged_{name}_tokens_total", source=source)
        for name, source in [
            ("prompt", "cache"), ("prompt", "prefill"), ("output", "forced"), ("output", "sampled"),
        ]
    }  # fmt: skip
    assert list(told.values()) == [8, 1, 1, 2]


def test_joules_are_counted_by_who_says_them() -> None:
    metrics = Metrics()
    for source in ("estimated", "metered", "metered"):
        metrics.take(reply(answered(source=source)[1]))
    told = [
        value(metrics.registry, "edged_outcome_joules_total", source=source)
        for source in ("estimated", "metered")
    ]
    assert told == [2.25, 4.5]


def test_a_done_outcome_counts_its_seconds_from_acceptance() -> None:
    metrics = Metrics()
    metrics.take(reply(answered()[1]))
    names = ("queue", "time_to_first_token", "time_per_output_token", "request")
    told = [value(metrics.registry, f"edged_{name}_seconds_sum") for name in names]
    assert told == [0.5, 0.75, 0.5, 1.75]


def test_the_seconds_of_an_outcome_that_is_not_done_are_not_counted() -> None:
    metrics = Metrics()
    metrics.take(reply(answered(finish="failed", reason="engine_failed")[1]))
    assert value(metrics.registry, "edged_request_seconds_count") == 0
    failed = value(metrics.registry, "edged_outcomes_total", event="error", reason="engine_failed")
    assert failed == 1


def test_the_number_of_series_does_not_grow_with_the_clients() -> None:
    metrics = Metrics()
    diary = Diary(metrics)
    sizes = set()
    for number in range(20):
        one, settlement = answered(client=f"c{number}")
        diary.accepted(one, f"t{number}")
        diary.ended(one, settlement)
        sizes.add(len(generate_latest(metrics.registry).splitlines()))
    assert len(sizes) == 1


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1)), min_size=1))
def test_the_boards_joules_start_at_nothing_and_never_go_back(
    said: list[tuple[float, float]],
) -> None:
    now = iter(figures(j, share * j) for j, share in said)
    first_j, first_share = said[0]
    since = Joules(overhead_j=first_j * (1 - first_share), idle_j=first_j * first_share)
    registry = CollectorRegistry()
    registry.register(BoardCollector(lambda: next(now), since))
    told = []
    for _ in said:
        told.append({one.name: one.samples[0].value for one in registry.collect()})
    for name in ("edged_board_joules", "edged_board_idle_joules"):
        values = [one[name] for one in told]
        assert values[0] == pytest.approx(0, abs=1e-6)
        assert values == sorted(values)


def test_a_board_without_model_or_thermal_zone_leaves_those_families_out() -> None:
    registry = CollectorRegistry()
    registry.register(BoardCollector(lambda: figures(model=None, temperature_c=None), Joules()))
    missing = {"edged_model", "edged_temperature_celsius"}
    assert missing & set(families(registry)) == set()


def test_the_page_lists_every_family_with_its_type_and_labels() -> None:
    rows = table(PAGE, "Families")
    told = {
        code(row["family"]): (row["type"], frozenset(re.findall(r"`(\w+)`", row["labels"])))
        for row in rows
    }
    assert told == families(busy_registry())


def test_the_page_asks_for_series_that_exist() -> None:
    asked = {word for query in page_queries() for word in re.findall(r"\bedged_\w+", query)}
    assert asked
    assert asked - series(busy_registry()) == set()


def test_the_twins_of_opentelemetry_are_families() -> None:
    rows = table(PAGE, "OpenTelemetry's names")
    named = {word for row in rows for word in re.findall(r"`(edged_\w+)`", row["edged"])}
    assert named
    assert named - set(families(busy_registry())) == set()


def test_the_dashboard_asks_for_series_that_exist() -> None:
    text = DASHBOARD.read_text(encoding="utf-8")
    asked = set(re.findall(r"\bedged_\w+", text))
    assert len(asked) > 20
    assert asked - series(busy_registry()) == set()


def test_the_dashboard_shows_every_family() -> None:
    asked = " ".join(dashboard_queries())
    assert {name for name in families(busy_registry()) if name not in asked} == set()


def test_the_alert_rules_ask_for_series_that_exist() -> None:
    asked = set(re.findall(r"\bedged_\w+", RULES.read_text(encoding="utf-8")))
    assert len(asked) > 10
    assert asked - series(busy_registry()) == set()


def test_every_alert_has_its_alarm_here() -> None:
    alerts = re.findall(r"^ +- alert: (\w+)$", RULES.read_text(encoding="utf-8"), re.M)
    assert alerts == list(ALARMS)


@needs_promtool
def test_promtool_takes_the_alert_rules() -> None:
    assert f"{len(ALARMS)} rules found" in promtool("check", "rules", str(RULES))


@needs_promtool
@pytest.mark.parametrize("alert", ALARMS)
def test_an_alert_fires_alone(alert: str, tmp_path: Path) -> None:
    promtool("test", "rules", str(alarm_test(tmp_path, ALARMS[alert], [alert])))


@needs_promtool
def test_no_alert_fires_on_a_board_that_is_well(tmp_path: Path) -> None:
    promtool("test", "rules", str(alarm_test(tmp_path, WELL, [])))


@needs_promtool
def test_promtool_takes_what_is_exposed() -> None:
    assert promtool("check", "metrics", given=generate_latest(busy_registry()).decode()) == ""


@needs_promtool
def test_promtool_takes_every_query_of_page_and_dashboard(tmp_path: Path) -> None:
    queries = [*page_queries(), *dashboard_queries()]
    rules = [
        {"record": f"q{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries)
    ]
    path = write_yaml(tmp_path / "queries.yml", {"groups": [{"name": "q", "rules": rules}]})
    assert f"{len(queries)} rules found" in promtool("check", "rules", str(path))


def page_queries() -> list[str]:
    """Return the PromQL of the page."""
    return [code(row["PromQL"]) for row in table(PAGE, "Families", "question")]


def dashboard_queries() -> list[str]:
    """Return the PromQL of the dashboard."""
    return list(values_of("expr", json.loads(DASHBOARD.read_text(encoding="utf-8"))))


def values_of(key: str, tree: Any) -> Iterator[str]:
    """Yield the values of a key, anywhere in a tree of JSON."""
    if isinstance(tree, list):
        for one in tree:
            yield from values_of(key, one)
    elif isinstance(tree, dict):
        for name, one in tree.items():
            yield from [one] if name == key else values_of(key, one)


def alarm_test(folder: Path, given: dict[str, str], firing: list[str]) -> Path:
    """Write a test of promtool's: which alerts fire after half an hour of these series."""
    inputs = [{"series": series, "values": values} for series, values in given.items()]
    expected = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in firing]
    check = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": "30m",
        "exp_samples": expected,
    }
    one = {"interval": "1m", "input_series": inputs, "promql_expr_test": [check]}
    tests = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [one]}
    return write_yaml(folder / "alarm.yml", tests)
