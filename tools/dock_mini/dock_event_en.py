"""English phrases of dock-event."""

from __future__ import annotations

from .dock_event_shapes_en import SHAPES
from .phrase import Phrases

_VEHICLE = "(truck|lorry|trailer|semi|van|artic|HGV|40 footer|container|the truck|a truck|trk|rig)"
_CRUSHED = (
    "(crushed|damaged|smashed|broken|torn|ripped|soaked|wet|dented|squashed|burst|"
    "leaking|ruined|busted|bashed in|caved in|punctured|water damaged|split open|"
    "dmgd)"
)
_STICKER = "(label|barcode|sticker|shipping label|tag|lbl|pallet label|SSCC label)"

CORES: dict[str, Phrases] = {
    "arrival": Phrases(
        "dock-event/en/arrival",
        train=(
            _VEHICLE + " (arrived|just arrived|has arrived|arriving|came in) (at|on|to) {dock}",
            _VEHICLE + " (is |)(here|in|at the gate|docked|parked|waiting) (at|on) {dock}",
            "(new|) (arrival|inbound|incoming) {dock}",
            "(arrival|inbound) (at|on|for) {dock}",
            "{dock}: " + _VEHICLE + " (arrived|in|here|docked|backed in|on the dock)",
            "{firm} (arrived|just pulled up|is here|pulled in|rolled in|showed up) (at|on) {dock}",
            "{firm} " + _VEHICLE + " (backed up to|backed into|backing onto|on|standing at) {dock}",
            (
                "(the |)driver (from|of) {firm} (is here|checked in|reported in|signed in) (at|"
                "for) {dock}"
            ),
            "(load|delivery|shipment) from {firm} (arrived|is in|came in|has come) (at|on|) {dock}",
            _VEHICLE + " (ready to unload|ready for unloading|to be unloaded) (at|on) {dock}",
            "(got|have) a (delivery|load|truck|drop off) (in|coming in|waiting) (at|on) {dock}",
            "(checked in|check in) {firm} (at|on) {dock}",
            "{firm} (on the yard|at the gate), (sent|assigned) to {dock}",
            *SHAPES["arrival"],
        ),
        held_out=(
            "(a|the) " + _VEHICLE + " from {firm} has (arrived|come in) (at|on) {dock}",
            "{dock} inbound: {firm} (is here|arrived|docked)",
            "(just arrived|arrived) (at|on) {dock}: (load|delivery) from {firm}",
        ),
    ),
    "departure": Phrases(
        "dock-event/en/departure",
        train=(
            _VEHICLE + " (left|departed|has left|just left|is gone|drove off|pulled out) {dock}",
            _VEHICLE + " (gone|out|away|leaving|going out|departing) (from|of) {dock}",
            "(departure|outbound|departed) (from|at|) {dock}",
            "{dock}: " + _VEHICLE + " (left|gone|departed|out|on its way|pulled away|has gone)",
            "{firm} (left|departed|drove away from|pulled off|rolled out of|is out of) {dock}",
            "{firm} (signed out|checked out|is done and left|took off) (from|at|) {dock}",
            (
                "(loaded|sealed|loading done) and (gone|left|off|on the road), {dock} (is |)"
                "(free|empty|clear|open)( again|)"
            ),
            "{dock} (is |)(free|empty|clear|vacant)( now| again|), "
            + _VEHICLE
            + " (left|gone|out)",
            (
                "(load|shipment|delivery) (for|to) {town} (left|departed|went out|is out|gone) "
                "(from|of|via) {dock}"
            ),
            "(finished loading|loading finished|all loaded) (at|on) {dock}, driver (left|gone|off)",
            "(driver|he|carrier) (has |)(left|departed|driven off|gone) (from|) {dock}",
            "(outbound|departure) {firm} {dock} (sealed|closed|done|complete)",
            *SHAPES["departure"],
        ),
        held_out=(
            "the " + _VEHICLE + " of {firm} has left {dock}",
            "{dock} departure: {firm} (gone|out|left)",
            "(sealed and gone|loaded and gone): load (for|to) {town}, {dock} (free|empty)",
        ),
    ),
    "damage": Phrases(
        "dock-event/en/damage",
        train=(
            "{cartons} " + _CRUSHED + " on {pallet}",
            "{pallet} (has|with|shows|came with|got) {cartons} " + _CRUSHED,
            "{pallet} " + _CRUSHED + "(, {cartons}| {cartons}|)",
            (
                "{pallet} (fell over|tipped|tipped over|collapsed|fell off the truck|dropped|"
                "fell down|got hit|leaning and broken|was hit by a forklift|went over)(, "
                "{cartons} "
            )
            + _CRUSHED
            + "|, {cartons}|)",
            "(damage|dmg|damaged goods|transport damage) (on|at|to|:) {pallet}(, {cartons}|)",
            (
                "(damage|dmg|damaged pallet|broken goods) (at|on) {dock}(, {cartons} affected|, "
                "{cartons}|)"
            ),
            "(found|saw|we have|there are|got|counted) {cartons} " + _CRUSHED + " (at|on) {dock}",
            (
                "(forklift|driver|someone|i|we|the new guy) (hit|dropped|rammed|tipped|knocked "
                "over|speared|bumped) {pallet}(, {cartons} "
            )
            + _CRUSHED
            + "|)",
            "{dock}: {cartons} " + _CRUSHED,
            "{cartons} (are|were|is|) " + _CRUSHED + "( at {dock}|)( after the fall| by the fork|)",
            "(goods|load|stuff|boxes|cargo|cartons) " + _CRUSHED + " (at|on|in) {dock}",
            (
                "(the |)(wrap|film|stretch wrap) (ripped|open|torn) on {pallet}, {cartons} "
                "(fell out|fell|on the floor) (and broke|broken|"
            )
            + _CRUSHED
            + ")",
            "(only|just|about|around|approx|some|at least|roughly) {cartons} "
            + _CRUSHED
            + "( on {pallet}|)",
            _CRUSHED + " (boxes|cartons|goods|cases|ctns) on {pallet}",
            "water (dripped on|got into|damage to) {pallet}(, {cartons} wet|)",
            *SHAPES["damage"],
        ),
        held_out=(
            "we (found|have) {cartons} " + _CRUSHED + " on {pallet}",
            "{pallet} was dropped (and|,) {cartons} (are|is) " + _CRUSHED,
            "(damage|dmg) (at|on) {dock}: {pallet}, {cartons} " + _CRUSHED,
            "someone hit {pallet} (at|on) {dock}",
        ),
    ),
    "temperature_alarm": Phrases(
        "dock-event/en/temperature_alarm",
        train=(
            "(temp|temperature|cooling|heat|high temp) (alarm|alert|warning|alm) (at|on) {dock}",
            (
                "(temp|temperature|reefer|cold room|fridge|freezer) (alarm|alert|warning)( "
                "{temp}|: {temp}|, {temp}|)"
            ),
            (
                "(reefer|trailer|fridge|cold room|cooler|container|freezer) (at|on) {dock} (too "
                "warm|getting warm|too hot|not cold enough|warming up|over limit|out of range)"
            ),
            (
                "(reefer|unit|cold store|chiller|cooler) (alarm|beeping|in alarm|ringing|alert)"
                "( {temp}|)"
            ),
            (
                "{dock} (shows|reads|is at|at|says|display shows|reporting|showing) {temp}, "
                "(too warm|too hot|alarm|way over|above limit|not ok|should be colder|too high|"
                "not good)"
            ),
            (
                "(it is|its|it's|we have) {temp} (in|inside) (the |)(reefer|trailer|cold room|"
                "fridge|cooler|freezer), (too warm|too high|alarm is on|not right|should be "
                "cold)"
            ),
            (
                "{pallet} (is |)(too warm|at {temp}|measured {temp}|thawing|defrosting|warm), "
                "(temp|temperature) (alarm|alert|too high|over limit)"
            ),
            (
                "(temp|temperature) (at|on|in|by) {dock} (too high|high|above limit|out of "
                "range|rising|going up|went up|over the limit)(, {temp}|: {temp}| {temp}|)"
            ),
            (
                "(alarm|alert) (on|from|at) the (reefer|freezer|chiller|fridge|cold store|"
                "cooler)(, {temp}|)( at {dock}|)"
            ),
            (
                "(cooling|refrigeration|reefer unit|fridge) (failed|is off|stopped|not working|"
                "down|broke down|died) (at|on) {dock}(, {temp}( now|)|)"
            ),
            (
                "(sensor|probe|logger|thermometer) (at|on|in) {dock} (shows|reads|says|gives|"
                "reports) {temp} (alarm|too warm|over limit|!!|and rising|and climbing)"
            ),
            (
                "(reefer|freezer|trailer) (reads|is reading|shows|is showing|displays|"
                "indicates) {temp}( at {dock}|)( that is not ok| too much|)"
            ),
            *SHAPES["temperature_alarm"],
        ),
        held_out=(
            "{dock} (temp|temperature) alarm, (reefer|trailer) (shows|reads) {temp}",
            "(alarm|alert): (reefer|cold room) too warm (at|on) {dock}(, {temp}|)",
            "temperature in the (trailer|freezer) (is |)(rising|too high), {temp}",
        ),
    ),
    "missing_label": Phrases(
        "dock-event/en/missing_label",
        train=(
            "(no|missing) " + _STICKER + " on {pallet}",
            (
                "{pallet} (has no|without|without a|is missing the|is missing its|w/o|lost its|"
                "came without a) "
            )
            + _STICKER,
            _STICKER + " (missing|gone|not there|fell off|lost|came off) (on|from|off) {pallet}",
            _STICKER
            + (
                " (on|of) {pallet} (is |)(unreadable|torn|illegible|ripped|smeared|wet and "
                "unreadable|not readable|cant be read|won't scan|does not scan|missing)"
            ),
            "(unlabelled|unlabeled|untagged|unmarked) pallet (at|on) {dock}",
            "(pallet|plt|one pallet|a pallet|skid) (without|with no|missing) "
            + _STICKER
            + " (at|on) {dock}",
            "{dock}: (missing|no) " + _STICKER + "( on {pallet}|)",
            "(cant|can't|cannot|unable to) (scan|read) (the |)" + _STICKER + " (of|on) {pallet}",
            "(need|needs|print|please print|pls print) (a |)new " + _STICKER + " for {pallet}",
            "{pallet} (needs|wants|requires) a (new|fresh) " + _STICKER,
            "(where is|wheres) the "
            + _STICKER
            + " (for|of) {pallet}? (its gone|not there|missing)",
            "(nobody|no one) (labelled|tagged|put a label on) {pallet}",
            "{pallet} (not labelled|not tagged|has no barcode|unlabelled|unlabeled|no sscc)",
            *SHAPES["missing_label"],
        ),
        held_out=(
            "{pallet} (at|on) {dock} is without " + _STICKER,
            "the " + _STICKER + " of {pallet} is (missing|gone|lost)",
            "missing " + _STICKER + " (at|on) {dock}, {pallet}",
        ),
    ),
}

ASKS = Phrases(
    "dock-event/en/ask",
    train=(
        (
            "(please |pls |)(send|get|call) (someone|somebody|a supervisor|the supervisor|"
            "QA|quality|the shift lead|maintenance|the foreman|a tech|help)( over| down| "
            "now|)"
        ),
        (
            "(someone|somebody|anyone|sb|a supervisor|QA|the boss) (should|needs to|must|"
            "has to|please) (come|look|take a look|have a look|check it|come over|come down "
            "here)"
        ),
        (
            "(can|could) (someone|somebody|you|anybody|the supervisor) (come|take a look|"
            "have a look|come over|look at (it|this)|call me|check)( please| pls|)(?|)"
        ),
        (
            "(need|we need|i need) (someone|a person|somebody|help|a supervisor|QA|the team "
            "lead) (here|to look|at the dock|to come|over here|asap)"
        ),
        "(call|ring|phone) (me|the office|the driver|the supervisor|us|dispatch)( please| back|)",
        "(come|pls come|please come) (and look|and see|over|here|quick|have a look)",
        "who can (come|look|help|check this)?",
        "(driver|carrier) (wants|asks) to (talk|speak) to (someone|a person|the supervisor)",
        *SHAPES["ask"],
    ),
    held_out=(
        "please (come|look|have a look)",
        "we need a supervisor to (come|look)",
        "can somebody (call|come)( please|)?",
    ),
)

ASIDES = Phrases(
    "dock-event/en/aside",
    train=(
        "(at|around|since|about|from|time) {clock}",
        "(order|PO|ref|booking|delivery note|shipment no|ASN) {order}",
        "(driver|his name is|contact|carrier) {name}",
        "(carrier|haulier|from|truck of|load of) {firm}",
        "(going to|for|destination|coming from|load to) {town}",
        "(goods are|load is|cargo:|carrying) {goods}",
        "(raining|its raining|cold out here|slow day|busy morning|long queue today|radio is bad)",
        "(thanks|thx|cheers|ok|over|fyi|regards {name}|hi|hello|morning|good morning|update|note)",
        "{small} (pallets|plts|skids|stops|layers)( in total| on it|)",
        "(seal|seal no) {order}",
        "(plate|trailer no|reg) {plate}",
        "(photos|pictures|pics) (taken|attached|in the app|follow)",
        "(again|as usual|same as yesterday|second time today|third time this week)",
        "(team|shift|crew|gang) {small} (on it|is here|knows|working)",
        "(paperwork|papers|docs|CMR) (ok|signed|complete|with the driver|missing)",
        "(driver|he) (is waiting|wants to leave|has {small} more stops|speaks no english|says hi)",
        "(waiting|queue|delay) {small} (min|minutes|mins)",
        *SHAPES["aside"],
    ),
    held_out=(
        "(booking|order) no {order}",
        "(driver|carrier): {name}, load for {town}",
        "time {clock}, (raining|busy)",
        "{small} pallets of {goods}",
    ),
)

# Said beside an arrival or a departure: nothing is wrong.
BENIGN = Phrases(
    "dock-event/en/benign",
    train=(
        "(all good|all ok|everything fine|no issues|nothing special|everything ok|load is fine)",
        "(no damage|nothing damaged|no damages|no broken boxes|goods look fine|load intact)",
        "(labels ok|all labelled|all labels there|labels fine|barcodes scan)",
        "(temp ok|temperature fine|cooling works|temp is good|reefer fine)",
        "(pallets|cartons|goods) (fine|ok|complete|counted|look good)",
        *SHAPES["benign"],
    ),
    held_out=("(no issues|all good), (labels ok|no damage)", "goods are (fine|ok)"),
)

# Said before something worse: the worse thing is the event.
PRELUDES = Phrases(
    "dock-event/en/prelude",
    train=(
        "(truck|trailer|{firm}) (just arrived|arrived|is here|came in)(, but| and| but|:|,|)",
        "(unloading|while unloading|during unloading|unloaded) (the truck|{firm}|)(:|,|)",
        "(after|when) the truck (left|had gone|was gone)( we saw|,|)",
        "(delivery|load) from {firm}(:|,|)",
        "(checked|we checked|inspected) the (load|delivery)(:|,|)",
        *SHAPES["prelude"],
    ),
    held_out=("{firm} arrived(,|) but", "while we unloaded {firm}:"),
)
