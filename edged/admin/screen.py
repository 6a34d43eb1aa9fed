"""The board on a screen, for a person at a terminal.

In:  the state as the retained topic carries it, seconds left.     Out: lines of text.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edged.admin.wire import Answer, Setting

_WIDTH = 10


def screen(answer: Answer) -> str:
    """Return what `edged status` prints."""
    assert answer.state is not None, "an answer that was not refused has the state"
    state = answer.state
    rows = [
        ("board", f"{state['node']}, edged {state['version']}, start {state['boot']}"),
        ("service", _setting(state["service"]["mode"], state["service"], answer, "service")),
        ("engine", _engine(state)),
        ("model", _model(state)),
        ("queue", _queue(state)),
        ("power", _power(state["power"])),
        ("budget", budget_lines(answer)),
        ("outcomes", _outcomes(state["outcomes"])),
        *_doubtful(state),
    ]
    return "\n".join(f"{name:<{_WIDTH}}{text}" for name, text in rows)


def mode_line(answer: Answer) -> str:
    """Return what `edged pause`, `resume` and `drain` print."""
    assert answer.state is not None, "an answer that was not refused has the state"
    service = answer.state["service"]
    return f"{_setting(service['mode'], service, answer, 'service')}; {_queue(answer.state)}"


def budget_lines(answer: Answer) -> str:
    """Return the budget, who set it, and whether it is held."""
    assert answer.state is not None, "an answer that was not refused has the state"
    power = answer.state["power"]
    limits = f"{power['limit_w']:g} W over {power['window_s']:g} s"
    peak = f"{power['peak_w']:g} W over {power['peak_window_s']:g} s"
    lines = [
        _setting(f"{limits}, {peak}", power, answer, "budget"),
        f"{power['state']}: {power['why']}",
    ]
    if power["schedule"] is not None:
        lines.append(f"schedule {power['schedule']}")
    return ("\n" + " " * _WIDTH).join(lines)


def duration(seconds: float) -> str:
    """Return a length of time as people say it: 2 h 5 min, 40 s."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _setting(value: str, said: Mapping[str, Any], answer: Answer, name: Setting) -> str:
    """Return a setting with who set it and until when."""
    if said["set_by"] == "config":
        return value
    parts = [f"{value}, set by {said['set_by']}"]
    left_s = answer.left_s.get(name)
    if left_s is not None:
        until = f", until {said['until']}" if said["until"] else ""
        parts.append(f"for {duration(left_s)} more{until}")
    return ", ".join(parts)


def _engine(state: Mapping[str, Any]) -> str:
    engine = state["engine"]
    problem = f": {engine['problem']}" if engine["problem"] else ""
    limits = state["limits"]
    return (
        f"{engine['phase']}{problem}; {limits['sequences']} prompts at a time, "
        f"{limits['context_tokens']} tokens each"
    )


def _model(state: Mapping[str, Any]) -> str:
    model = state["model"]
    if model is None:
        return "none yet"
    version = "" if model["version"] is None else f" version {model['version']}"
    return f"{model['name']}{version} {model['digest'][:19]}, {model['trust']}"


def _queue(state: Mapping[str, Any]) -> str:
    return f"{state['queue']['queued']} queued, {state['queue']['running']} running"


def _power(power: Mapping[str, Any]) -> str:
    return f"{power['mean_w']:g} W {power['source']}, {power['outcomes_j']:g} J for answers so far"


def _outcomes(outcomes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {event}" for event, count in outcomes.items()) or "none yet"


def _store(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is being tried, what fell back, and templates that nobody answers for."""
    trial, last = state["store"]["trial"], state["store"]["last"]
    if trial is not None:
        yield "trial", f"{trial['kind']} {trial['title']}, ordered by {trial['by']}"
    if last is not None and last["state"] == "fell_back":
        yield "store", f"{last['title']} was not made active: {last['detail']}"
    if state["templates"] and state["templates_trust"] == "unsigned":
        yield "templates", "unsigned"


def _doubtful(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what somebody should look at."""
    yield from _store(state)
    if state["temperature_c"] is not None:
        yield "heat", f"{state['temperature_c']} degrees Celsius"
    if state["power"]["calibration_warning"]:
        yield "watts", state["power"]["calibration_warning"]
    if (doubt := state.get("broker", {}).get("doubt")) is not None:  # older boards know of none
        yield "clock", doubt
    if state["spool"]["problem"]:
        yield "disk", state["spool"]["problem"]
    for name in state["spool"]["set_aside"]:
        yield "disk", f"{name} was set aside, damaged"
    if state["unanswerable"]:
        yield "unheard", f"{state['unanswerable']} prompts whose sender could not be told"
