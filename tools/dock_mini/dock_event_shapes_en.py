"""More English sentence shapes of dock-event, for training only, by phrase group."""

from __future__ import annotations

_TRUCK = "(truck|lorry|trailer|semi|van|vehicle|container|the lorry|the trailer|wagon)"
_BAD = "(crushed|damaged|smashed|broken|torn|soaked|wet|dented|squashed|burst|ruined|cracked)"
_LABEL = "(label|barcode|sticker|shipping label|tag|pallet label|address label|QR code)"
_COLD = "(reefer|fridge|cold room|cooler|freezer|chiller|cold store|cooling unit)"

SHAPES: dict[str, tuple[str, ...]] = {
    "arrival": (
        "(event|status|note)(:| -) (arrival|arrived|inbound|truck in)(,| /|;) {dock}",
        "at {dock} (a |the |)" + _TRUCK + " (has arrived|just came in|is waiting to be unloaded)",
        "{dock} (is |now |)(occupied|taken|busy), {firm} (has arrived|is in|just docked)",
        "we (have|got) {firm} (standing |waiting |)(at|on) {dock}(, just arrived| now|)",
        "(here comes|just in:|in now:|new on the yard:) {firm}, {dock}",
        "(can we unload|please unload|unload) {firm} (at|on) {dock}, (it is in|just arrived)",
        "{firm} for {dock}(, has arrived| is in the yard| just drove in|, checked in)",
        "(goods|load|stock|delivery) from {firm} (now |)(at|on) {dock}(, ready for unloading|)",
        _TRUCK + ", (sent by|carrier) {firm}, (has docked|reversed in|is standing) (at|on) {dock}",
        "arrived (at|on|by) {dock}: (a |the |){firm} " + _TRUCK,
        "(its|it is) the " + _TRUCK + " from {town}, (arrived at|now on|docked on) {dock}",
        "{dock} - (arrival|inbound|truck here|delivery in)( {firm}|)",
    ),
    "departure": (
        "(event|status|note)(:| -) (departure|departed|outbound|truck out)(,| /|;) {dock}",
        "from {dock} (a |the |)" + _TRUCK + " (has departed|just drove off|has gone)",
        "{dock} (can be closed|to close|close it), (the |)" + _TRUCK + " (has left|is gone)",
        "{firm} (has |)(gone|left|departed)(, {dock} is free| from {dock}| and {dock} is empty)",
        "(just gone:|out now:|departed:|off the yard:) {firm}, {dock}",
        "(we |)(waved off|let go|sent off|released) (the |){firm} (truck |)(from|at) {dock}",
        _TRUCK + " (to|for|bound for) {town} (has left|departed from|drove away from) {dock}",
        "nobody (on|at) {dock} (now|any more), {firm} (left|has gone)",
        "the " + _TRUCK + " (that was |)(on|at) {dock} (has left|is gone|is on the road)( now|)",
        "{dock} - (departure|outbound|truck gone|truck left)( {firm}|)",
        "(off he goes|away he went|and he is gone)(:|,) {firm} (from|off) {dock}",
    ),
    "damage": (
        "(event|status|note|report)(:| -) (damage|goods damaged)(,| /|;) {pallet}(, {cartons}|)",
        "(damage|damaged|broken)(:| -) {cartons}(, {pallet}| at {dock}| on {pallet}|)",
        "{pallet}: {cartons} " + _BAD,
        "{pallet} - {cartons} " + _BAD + "( on arrival| at {dock}|)",
        "on {pallet} (we found |there are |i see |are |){cartons} " + _BAD,
        "(there is|we have|i see) (some |)damage (on|to) {pallet}(, {cartons}|: {cartons}|)",
        "{cartons} (of|from|off) {pallet} (are|were|got) " + _BAD,
        "(the rain|the fall|a fork|the strap|a leak in the roof) (damaged|ruined|broke) {cartons} "
        "(on|of) {pallet}",
        "{pallet} (arrived|came in|was delivered|turned up) " + _BAD + "(, {cartons}|: {cartons}|)",
        "(corner|side|bottom layer|top layer) of {pallet} " + _BAD + "(, {cartons}| - {cartons}|)",
        "(please note|fyi|sorry,|bad news:) {cartons} " + _BAD + "( at {dock}| on {pallet}|)",
        "(had to |)(set aside|put aside|take off) {cartons} (from|off) {pallet}, (all |)" + _BAD,
        "(number of |)damaged(:| -) {cartons}(, {pallet}|, {dock}|)",
        "{pallet} (slipped|slid|toppled|got knocked) (off the forks|over|off the lift|down)"
        "(, {cartons} " + _BAD + "|)",
        "did you see {pallet}? {cartons} (are |)" + _BAD,
        "{cartons} (did not survive|got squeezed|went to pieces)( on {pallet}| at {dock}|)",
    ),
    "temperature_alarm": (
        "(event|status|note)(:| -) (temp|temperature) (alarm|alert)(,| /|;) {dock}(, {temp}|)",
        "{dock} - (temperature|temp|cooling) (alarm|alert|warning)(, {temp}|: {temp}|)",
        "at {dock} the " + _COLD + " (is |gets |)(too warm|warming up|in alarm)(, {temp}|)",
        "the " + _COLD + " (at|on) {dock} (gave an alarm|went into alarm|is alarming)(, {temp}|)",
        "alarm because the " + _COLD + " is (too warm|not cooling|warm)(, {temp}|, {dock}|)",
        "(measured|reading|display|sensor)(:|) {temp} (at|on|in) {dock}, (too warm|alarm|too high)",
        "{temp} (at|on|in) {dock}, (much too warm|that is an alarm|over the limit|alarm went off)",
        "why is the " + _COLD + " at {temp}? (too warm|alarm is ringing|that is too high)",
        (
            "(temperature|temp) (alarm|alert) (went off|has gone off|is ringing)( at {dock}|"
            ")(, {temp}|)"
        ),
        "the (goods|load) on {pallet} (are|is) (getting warm|too warm|thawing)(, {temp}|)",
        "(cold chain|cooling) (broken|lost|interrupted)( at {dock}|)(, {temp}|: {temp}|)",
        "it (says|reads|shows) {temp} on the " + _COLD + ", (too warm|too high|alarm)",
        (
            "(cooling|fridge unit|reefer) (alarm|fault), (temperature|temp) (rising|climbing|"
            "at {temp})"
        ),
    ),
    "missing_label": (
        "(event|status|note)(:| -) (missing label|no label|label missing)(,| /|;) {pallet}",
        "{pallet}: " + _LABEL + " (missing|gone|not found|unreadable|torn)",
        "{pallet} - (no|missing|unreadable) " + _LABEL,
        "on {pallet} (there is no|we find no|i see no|the) " + _LABEL + "( is missing|)",
        "(we |i |)(found|have|got) {pallet} (without|with no) (a |any |)" + _LABEL,
        "(there is|we have|got) a pallet (at|on) {dock} (without|with no|missing its) " + _LABEL,
        "{pallet} (cannot|cant|can not) be (scanned|read|identified)(, no " + _LABEL + "|)",
        "(scanner|scan gun) (does not|wont) (read|take) {pallet}, " + _LABEL + " (torn|missing)",
        "(looks like |it seems |)the " + _LABEL + " came away from {pallet}",
        "(has anyone seen|who has|where is) the " + _LABEL + " (of|for|from) {pallet}?",
        "(relabel|label|re-label) {pallet}( please|, the old one is gone|, nothing on it)",
        "(nothing|no " + _LABEL + ") (stuck |printed |)on {pallet}, (needs a label|label missing)",
        "{dock}, " + _LABEL + " (missing|gone|not readable)( on {pallet}|)",
    ),
    "ask": (
        "(action|request|note)(:| -) (send someone|please come|call me|supervisor needed)",
        "(a person|somebody|someone|a supervisor|QA|the foreman) (is |)(needed|wanted|required)"
        "( here| at the dock| please|)",
        "(is|isnt) (there |)(anyone|somebody|someone) (free |around |there |)who (can|could) "
        "(come|look|help)( over|)?",
        (
            "(would|will|could) you (please |)(come|send somebody|ring me|have a look|take a "
            "look)( here|)?"
        ),
        "it would be good if (someone|the supervisor|QA) (came|looked|came over|had a look)",
        "(let|have|get) (somebody|the supervisor|QA|a colleague) (come|look|check)( over|)",
        "(we |i |)(cannot|wont) go on until (someone|a supervisor|QA) (comes|has looked|looks)",
        "(give|gimme) (me|us) a (call|ring)( please| back|)",
        "(tell|ask) (the supervisor|QA|someone|{name}) to (come|call me|look|come over)",
        "(need|want) (someone's|the supervisor's) eyes on this( please|)",
    ),
    "aside": (
        "(from|by|sender|signed)(:| -) {name}",
        "(time|clock|logged)(:| -) {clock}",
        "(total|on board|load)(:| -) {small} (pallets|stops|layers)",
        "({name} and i|the early shift|the night shift|my colleague) (saw it|noted it|know)",
        "(customer|client|goods of|supplier)(:|) {firm}",
        "(route|trip|run)(:|) {town}",
        "(will send|sending|sent) (photos|pics|the papers|an email)( later| soon|)",
        (
            "(driver|he) (is |was |)(friendly|in a hurry|late|{small} minutes late|early|new|"
            "having lunch)"
        ),
        "(no idea why|not the first time|long day|almost weekend|nice weather|windy|coffee is out)",
        "(have a nice day|over and out|many thanks|good evening|hey|hello team|ta|see you)",
        "(booking reference|trip sheet|job card) (number |){order}",
        "(entered|written down|logged) (by {name}|in the book|in the system|at {clock})",
        "(forklift|scanner|pallet jack) (is |)(charging|free|parked)( again|)",
        "(second|third|last) (load|truck|run) (today|of the day|this shift)",
        "(next|another) one (due |comes |expected |)at {clock}",
        "{goods} (inside|on it|mostly|for {town})",
        "(sorry for|excuse) the (typos|delay|short note)",
    ),
    "benign": (
        "(status|condition|goods|load)(:| -) (ok|fine|good|intact|complete)",
        "(not|nothing) (damaged|broken|missing|torn)( this time|)",
        "(no|zero|without) (damage|damages|alarm|alarms|missing labels|broken boxes|problems)",
        "(every|each) (pallet|box|carton) (has its label|is labelled|is intact|is dry)",
        "(temperature|cooling|cold chain) (was |is |)(fine|in order|within limits|checked and ok)",
        "(checked|looked at) (it|everything|the load)(, all fine|, no damage|, ok|: good)",
        "(everything|all) (in order|as planned|went well|complete|dry and intact)",
    ),
    "prelude": (
        _TRUCK + " (is in|docked|has come in)(, but| and|:|,)",
        "{firm} (is here|came in|has been unloaded)(, but| and|:|,)",
        "(opened|we opened|i opened) the (doors|trailer|container)(:|,| and)",
        "(at|during) (unloading|check-in|the count|goods in)(:|,| we saw| i found)",
        "(before|while) the truck (left|was leaving|was loaded)(:|,)",
        "the truck (already left|has already gone|is gone)(, but|:|,)",
        "(load|delivery) of {firm} (came in|is in)(, but|:|,)",
    ),
}
