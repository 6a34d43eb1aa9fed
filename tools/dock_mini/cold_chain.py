"""Rows of cold-chain: a load, an interval and a series of readings, in a random order.

A series is a value as a whole: no series of one split is ever drawn in the other.
"""

from __future__ import annotations

import random

from . import labels, noise
from .dock_event import aside_value
from .numbers import number_word
from .phrase import Phrases, Split, fill
from .pools import belongs, draw

NAME = "cold-chain"
INTERVALS_MIN = (5, 10, 15, 20, 30)
READINGS_MAX = 8
_SEPARATORS = (", ", ", ", ". ", ": ", " ", " - ", "; ", " / ", "\n", " | ")

LOAD = Phrases(
    "cold-chain/load",
    train=(
        "{load}",
        "{load}",
        (
            "{load} (load|goods|cargo|delivery|trailer|truck|container|pallet|box|room|"
            "section|freight|stuff|compartment)"
        ),
        "(load|goods|cargo|type|product): {load}",
        "{load} {goods}",
        "{goods} {load}",
        "{goods}, {load}",
        "{goods} - {load}",
        "{load} {goods} (from|for) {firm}",
        "(cat|class|mode|kind|group|regime|goods class)(: | = |=| - |:){load}",
        "(should|must|has to|needs to) (be|stay|stay at) {load}",
        "{load} (stock|lot|batch|shipment|consignment|parcel|unit|van|lorry|bay|line)",
        "({goods}|lot|batch|it)( is| are|, all|:| =) {load}",
        "(carrying|loaded with|contents|on board|hauling)(:|) {load} {goods}",
        "([{load}]|*{load}*|#{load}|{load}!|{load}:|-{load}-)",
        "{goods} for {firm}(, | - | / ){load}",
        "(mode|setpoint|reefer|unit|tour) (is |was |on |set to |){load}",
        "({load}, not ambient|strictly {load}|all {load}|{load} only|{load} as ordered)",
        "{goods} <{load}>",
        "(its a|this is a|it is a|for a|a|the) {load} (load|one|delivery|truck|container)",
        (
            "(temp log|temperature log|log|temps|temperatures|readings|data) (from|for|"
            "in) (a |the |){load} (load|goods|trailer|truck|container|room|{goods})"
        ),
        "{firm} {load}",
        "<{load}>",
        "{load} (product|products|temp log|chain|transport)",
        "(is|it was|was|kept) {load}",
    ),
    held_out=(
        "{load} cargo of {goods}",
        "(goods|load) are {load}",
        "log of {load} {goods}",
        "{firm}: {load} load",
    ),
)
INTERVAL = Phrases(
    "cold-chain/interval",
    train=(
        (
            "(every|each|evry|once every|one per|one every|a reading every|taken every|"
            "measured every|1 per|per) {minutes} (min|mins|minutes|minute|min.|m)"
        ),
        "{minutes} (min|minute|mins|minutes)",
        "{minutes}min",
        (
            "{minutes}(-| )(min|minute|minutes) (interval|steps|log|step|readings|intervals|"
            "apart|between|spacing|cycle)"
        ),
        "(interval|step|period|int|cycle|rate|spacing)(:| is| =|) {minutes}( min|min| minutes|)",
        "(q|Q|@){minutes}(min|)",
        ("(logged|measured|read|sampled|checked) (every|each) {minutes} (min|minutes|mins)"),
        "{minutes} (min|minutes) (between|from) (each|one|readings|them)( to the next|)",
        "every {minutes}",
        "{minutes}'",
        "(int|intv|intvl|freq|delta|dt|tick|gap|every)(=|: |:| = |. | ){minutes}(min| min|m| mins)",
        "(<{minutes} min>|[{minutes}min]|*{minutes} min*|/{minutes} min/|~{minutes}min~)",
        "(one|a|1) (value|sample|point|line|entry) (per|every) {minutes} (min|minutes|mins)",
        "{minutes} (min|mins|minutes) (apart|in between|each|raster|grid|sampling|logging|pace)",
        "(with|at|in|on) (a |){minutes}(-| )(min|minute) (gap|pace|raster|interval|grid|cycle)",
        "(logger|sensor|probe) (set to|runs at|ticks every|writes every) {minutes} (min|minutes)",
        "(we|i|they) (look|check|read|measure|note it) (every|each) {minutes} (min|minutes)",
        "(time|distance|gap) (between|from) (two |)(readings|values|points)(:| is|) {minutes} min",
        "{minutes} (min|minutes) (passed|go by|lie) between (two |)(readings|values|points)",
    ),
    held_out=(
        "(one|a) reading each {minutes} min",
        "(interval|step) of {minutes} minutes",
        "recorded each {minutes} mins",
    ),
)
SERIES = Phrases(
    "cold-chain/series",
    train=(
        "{series}",
        "{series}",
        "{series}",
        (
            "(readings|values|temps|temperatures|data|log|probe|sensor|C|deg|reading|series)"
            "(:| are| were| =| say|) {series}"
        ),
        (
            "(got|we got|it shows|shows|i see|measured|reads|probe says|logger says|then|i "
            "read|we saw|have|it was|took) {series}"
        ),
        "{series} (C|degrees|deg|celsius|grad|in C)",
        "(sensor|probe|logger|channel) {small}: {series}",
        "(only|first|last|so far) {series}",
        "(t|T|temp|tmp|°C|core|air|return air|supply air|inside|display)(: | = |: |:){series}",
        "(here|this is it|see|list|printout|the list|all of them|in order|one by one): {series}",
        '([{series}]|<{series}>|*{series}*|"{series}")',
        "(recorder|thermometer|display|tracker|datalogger|printer) (gave|says|has|noted): {series}",
        "(went|ran|came in at|started at and went) {series}",
        "{series} (that is all|end of log|all of it|as read|on the display|from the printout)",
    ),
    held_out=("(logger|sensor) shows {series}", "values in C: {series}", "temps {series} deg"),
)
ASIDE = Phrases(
    "cold-chain/aside",
    train=(
        "(trailer|truck|dock|door|pallet|container|box|unit|room|bay) {small}",
        "(trailer|pallet|load|order|container) {order}",
        "(driver|from|by) {name}",
        "(to|from|for) {town}",
        "(started|since|at|from) {clock}",
        (
            "(pls check|please check|check this|ok|what do you say|can we take it|is that "
            "ok|thx|fyi|hello|hi)(?|)"
        ),
        (
            "(door was open|door left open|power cut|long wait at the dock|reefer off for a "
            "while|engine was off|sun on the roof|defrost cycle)"
        ),
        "(logger|probe|sensor) (ok|{small}|calibrated|new)",
        "{firm}",
        "(please|pls|kindly) (judge|rate|look|decide|have a look|tell us)(?|)",
        "(hi|good morning|hello team|moin|question)(,|!|)",
        "(at|from) (gate|ramp|lane|hall|zone|slot) {small} (now|today|again)",
        "(order|PO|trip|job|ref|doc) {order}",
        "({name} here|this is {name}|ask {name}|{name} signed|seen by {name})",
        "(arrived|left|unloaded|parked|loaded) (at {clock}|in {town}|by {name})",
        (
            "(customer is waiting|driver waits|seal is fine|seal broken|papers missing|"
            "looks odd to me)"
        ),
        "(accept or not|reject it or not|good or bad|fine or not|any problem|your verdict)(?|)",
        "(route|coming|came) from {town}",
    ),
    held_out=("(trailer|box) {small} from {town}", "pls check, {name}", "door open since {clock}"),
)


def phrase_groups() -> list[Phrases]:
    """Every phrase group of the template, for audits."""
    return [LOAD, INTERVAL, SERIES, ASIDE]


def row(split: Split, rng: random.Random) -> tuple[str, labels.Answer]:
    """One log and its verdict."""
    load = rng.choice(("chilled", "frozen"))
    interval_min = rng.choice(INTERVALS_MIN)
    readings_c = series(load, split, rng)
    text = noise.messy(_log(load, interval_min, readings_c, split, rng), rng)
    return text, labels.cold_chain(load, interval_min, readings_c)


def series(load: str, split: Split, rng: random.Random) -> list[int]:
    """Readings of one load in whole degrees, a series of this split."""
    while True:
        readings_c = _any_series(load, rng)
        if belongs("series", " ".join(map(str, readings_c)), split):
            return readings_c


def _any_series(load: str, rng: random.Random) -> list[int]:
    n_readings = rng.choices(range(2, READINGS_MAX + 1), (2, 4, 6, 6, 6, 4, 4))[0]
    inside = (2, 8) if load == "chilled" else (-25, -18)
    kind = rng.choice(("inside", "excursion", "excursion", "excursion", "walk", "walk", "wild"))
    readings_c = [rng.randint(*inside) for _ in range(n_readings)]
    if kind == "walk":
        readings_c = _walk(load, n_readings, rng)
    p_out = {"excursion": 0.45, "wild": 1.0}.get(kind, 0.0)
    too_warm = rng.random() < 0.7
    for at in range(n_readings):
        if rng.random() < p_out:
            readings_c[at] = _outside(load, too_warm=too_warm ^ (rng.random() < 0.08), rng=rng)
    return readings_c


def _walk(load: str, n_readings: int, rng: random.Random) -> list[int]:
    reading_c = rng.randint(0, 10) if load == "chilled" else rng.randint(-22, -14)
    drift = rng.choice((-1, 0, 1))
    readings_c = []
    for _ in range(n_readings):
        readings_c.append(reading_c)
        reading_c += drift + rng.randint(-2, 2)
    return readings_c


def _outside(load: str, *, too_warm: bool, rng: random.Random) -> int:
    if load == "frozen":
        return rng.choice((rng.randint(-17, -8), rng.randint(-17, -12), rng.randint(-8, 6)))
    if too_warm:
        return rng.choice((rng.randint(9, 12), rng.randint(9, 24)))
    return rng.randint(-6, 1)


def _log(
    load: str, interval_min: int, readings_c: list[int], split: Split, rng: random.Random
) -> str:
    parts = [LOAD.draw(split, rng), INTERVAL.draw(split, rng)]
    rng.shuffle(parts)
    parts += [ASIDE.draw(split, rng) for _ in range(rng.choices((0, 1, 2), (6, 3, 1))[0])]
    if rng.random() < 0.5:
        rng.shuffle(parts)
    at = len(parts) if rng.random() < 0.6 else rng.randrange(len(parts) + 1)
    parts.insert(at, SERIES.draw(split, rng))
    values = {
        "load": load,
        "minutes": number_word(interval_min, "en") if rng.random() < 0.1 else str(interval_min),
        "series": _written_series(readings_c, rng),
    }
    separator = rng.choice(_SEPARATORS)
    text = ""
    for part in parts:
        if rng.random() < 0.3:
            separator = rng.choice(_SEPARATORS)
        filled = fill(part, lambda name: values.get(name) or _aside_value(name, split, rng))
        # A dash or a bare space before a number would change the series itself.
        safe = ": " if "{series}" in part and separator in (" - ", " / ", ", ", "; ") else separator
        text += (safe if text else "") + filled
    return text


def _aside_value(name: str, split: Split, rng: random.Random) -> str:
    return draw("goods", split, rng) if name == "goods" else aside_value(name, split, rng)


def _written_series(readings_c: list[int], rng: random.Random) -> str:
    joint = rng.choice(
        (", ", ", ", " ", " ", " ", "/", "; ", ";", ",", " then ", " / ", " | ", "\n")
    )
    unit = rng.choice(("", "", "", "", "C", "°C", "°", " C"))
    minus = rng.choice(("-", "-", "-", "-", "minus "))
    texts = [f"{minus if c < 0 else ''}{abs(c)}{unit}" for c in readings_c]
    if rng.random() < 0.08 and len(texts) > 1:
        return joint.join(texts[:-1]) + " and " + texts[-1]
    return joint.join(texts)
