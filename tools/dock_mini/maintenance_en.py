"""English phrases of maintenance-note around the fault: asset, frame, state, hurry, asides."""

from __future__ import annotations

from .maintenance_shapes_en import SHAPES
from .phrase import Phrases

ASSETS: dict[str, tuple[str, ...]] = {
    "forklift": (
        "forklift",
        "forklift",
        "fork lift",
        "forklift truck",
        "fork truck",
        "FLT",
        "lift truck",
        "counterbalance truck",
        "counterbalance",
        "forklft",
    ),
    "reach_truck": ("reach truck", "reach truck", "reachtruck", "reach", "RT", "reach trk"),
    "pallet_jack": (
        "pallet jack",
        "pallet jack",
        "pallet truck",
        "pump truck",
        "hand pallet truck",
        "electric pallet truck",
        "powered pallet truck",
        "EPT",
        "walkie",
        "palletjack",
    ),
    "conveyor": (
        "conveyor",
        "conveyor",
        "belt conveyor",
        "roller conveyor",
        "conveyor belt",
        "conv",
        "the belt",
        "conveyer",
        "sorter belt",
    ),
    "dock_leveller": (
        "dock leveller",
        "dock leveler",
        "leveller",
        "leveler",
        "dock plate",
        "loading ramp plate",
        "dock lvlr",
        "dockleveller",
    ),
    "door": (
        "door",
        "dock door",
        "roller door",
        "roller shutter",
        "sectional door",
        "shutter",
        "high speed door",
        "overhead door",
        "gate",
        "rapid door",
    ),
    "charger": (
        "charger",
        "battery charger",
        "charging station",
        "charge station",
        "chrgr",
        "charging point",
    ),
    "wrapper": (
        "wrapper",
        "stretch wrapper",
        "pallet wrapper",
        "wrapping machine",
        "wrap machine",
        "shrink wrapper",
    ),
    "scanner": (
        "scanner",
        "hand scanner",
        "barcode scanner",
        "handheld",
        "handheld scanner",
        "scan gun",
        "RF gun",
        "scanner gun",
    ),
    "cooler": (
        "cooler",
        "cold room unit",
        "chiller",
        "fridge",
        "freezer",
        "cooling unit",
        "cold store",
        "refrigeration unit",
        "freezer unit",
    ),
}

FRAMES = Phrases(
    "maintenance-note/en/frame",
    train=(
        "{asset} {verb}",
        "{asset} {verb}",
        "the {asset} {verb}",
        "{asset}: {noun}",
        "{asset} {noun}",
        "{asset}, {noun}",
        "{noun} on {asset}",
        "{noun} at {asset}",
        "{noun}, {asset}",
        "{asset} has (a|an|) {noun}",
        "(there is |found |we have |got |)(a |an |){noun} (on|at|with) (the |){asset}",
        "(our|my|this) {asset} {verb}",
        "{asset} - {noun}",
        "{asset} = {noun}",
        "(problem with|trouble with|issue with|defect|report|fault) {asset}: {noun}",
        "(reporting|please note|noticed|fyi)(:|,| that) {asset} {verb}",
        "(re|ref) {asset} - {noun}",
        "{asset} (came back|returned) with (a |an |){noun}",
        *SHAPES["frame"],
    ),
    held_out=(
        "(a |)problem (on|at) {asset}: {noun}",
        "we noticed (that |){asset} {verb}",
        "{noun} (seen|found) on the {asset}",
    ),
)

OUT_OF_SERVICE = Phrases(
    "maintenance-note/en/out_of_service",
    train=(
        "(out of service|out of order|out of use|o.o.s.|taken out of service|not in use now)",
        (
            "(parked|parked it|parked up|i parked it|put it|left it) (in the corner|aside|"
            "at the charger|outside|in the workshop|by the wall|for now|until fixed|)"
        ),
        "(tagged out|tagged|locked out|red tag on it|lockout tag on|locked it|tag out done)",
        (
            "(stopped|is stopped|has stopped|standing still|stands still|at a standstill|"
            "completely dead|dead|it is down|line is down|down)"
        ),
        (
            "(do not use|dont use|nobody may use it|not to be used|must not be used|nobody "
            "uses it|keep off)( it|)( until fixed| please|)"
        ),
        "(switched off|shut down|turned off|took the key|key removed|took it off the floor)",
        "(cannot|cant|can't) be used( any more| now|)",
        *SHAPES["out_of_service"],
    ),
    held_out=(
        "(parked|locked) and tagged out",
        "it is out of (service|use), (dont|do not) use",
        "(stopped|shut down) now",
    ),
)

HURRY: dict[str, Phrases] = {
    "urgent": Phrases(
        "maintenance-note/en/urgent",
        train=(
            "(urgent|very urgent|urgently|URGENT|its urgent|high priority|prio 1|top priority)",
            "(asap|ASAP|as soon as possible|a.s.a.p.|please fix asap|fix it asap|need it asap)",
            (
                "(at once|immediately|right away|right now|straight away|now please|today "
                "please|need it now|fix it now)"
            ),
            (
                "(dangerous|danger|its dangerous|unsafe|not safe|safety risk|accident risk|"
                "someone will get hurt|safety issue|hazard)"
            ),
            "(emergency|we need it back now|cant wait|cannot wait|line waits for it)",
            *SHAPES["urgent"],
        ),
        held_out=(
            "please (come|fix it) at once",
            "very dangerous, unsafe",
            "this is urgent, prio 1",
        ),
    ),
    "low": Phrases(
        "maintenance-note/en/low",
        train=(
            "(no rush|no hurry|not urgent|no panic|theres no rush|low priority|prio 3|no stress)",
            "(can wait|it can wait|may wait|can wait until {day}|this can wait|that can wait)",
            (
                "(at the |with the |on the |wait for the |until the |)next (service|inspection|"
                "maintenance|check)"
            ),
            (
                "(when you have time|whenever you can|when there is time|sometime|some day|when "
                "you get a chance|if you have time|when convenient|in your own time|whenever)"
            ),
            *SHAPES["low"],
        ),
        held_out=("it is not urgent, (can|may) wait", "at the next maintenance, no rush"),
    ),
}

ASIDES = Phrases(
    "maintenance-note/en/aside",
    train=(
        "(reported|seen|noticed|found) by {name}",
        "(since|at|around|from) {clock}",
        "(hall|aisle|zone|area|row) {small}",
        "(shift|late shift|night shift|early shift|team {small})",
        (
            "(thanks|thx|pls check|please check|please have a look|regards {name}|cheers|hi|"
            "hello|can you look)"
        ),
        "({small} hours|{small} h) on the clock",
        "(happened|started) (this morning|yesterday|last night|on {day}|after lunch|today)",
        (
            "(still usable|still works|works for now|still running|still runs|we still use "
            "it|can be used)"
        ),
        "(told {name}|{name} knows|spoke to {name})",
        "(ticket|work order|job) {order}",
        "(second|third) time this (week|month)",
        "(same|again) as last (week|month|time)",
        "(not my fault|no idea why|dont know why|strange|new driver|bought last year)",
        "(was fine|worked) yesterday",
        "(photo|picture) (attached|taken|in the app)",
        "(this|next) (week|month) (ok|please|would be good)",
        *SHAPES["aside"],
    ),
    held_out=(
        "{name} found it (on {day}|)",
        "zone {small}, still usable",
        "job no {order}, thanks",
    ),
)

DOING = (
    "lifting",
    "turning",
    "driving",
    "reversing",
    "braking",
    "lowering",
    "starting",
    "running",
    "it moves",
    "it starts",
    "loaded",
    "going up",
    "going down",
    "cold",
    "closing",
    "opening",
    "i turn left",
    "carrying a load",
    "full speed",
)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "the weekend", "next week")
NUMBER_FORMS = (
    "{n}",
    "{n}",
    "{n}",
    "{n}",
    "no {n}",
    "no. {d}",
    "nr {d}",
    "#{d}",
    "number {n}",
    "no.{d}",
    "unit {n}",
    "{d:02}",
    "-{d}",
    "-{d:02}",
    "# {d}",
    "{d}",
    "nr. {d}",
    "no{d}",
    "(no {d})",
    "(unit {d})",
)
