"""English words for the faults of maintenance-note.

A fault is said as a verb ("leaks oil") or as a noun ("oil leak").
"""

from __future__ import annotations

from .maintenance_shapes_en import SHAPES
from .phrase import Phrases

_FLUID = (
    "(oil|hydraulic oil|hydraulic fluid|fluid|coolant|grease|brake fluid|acid|water|refrigerant)"
)
_BAD = "(badly|slightly|a bit|a lot|heavily|all the time|again|since {clock}|)"

VERBS: dict[str, Phrases] = {
    "leak": Phrases(
        "maintenance-note/en/leak/verb",
        train=(
            "(leaks|is leaking|leaking|drips|is dripping|loses|is losing|losing|dripping) "
            + _FLUID
            + " "
            + _BAD,
            "(has|with|shows) a (puddle|pool|trail|drop|patch) of "
            + _FLUID
            + " (under|below|beneath) it",
            "(left|leaves|is leaving) (a trail of|drops of|spots of|) "
            + _FLUID
            + " (on the floor|behind|everywhere)",
            "(spills|is spilling|spraying|pissing|weeping|seeping) " + _FLUID,
            "(hose|seal|cylinder|mast cylinder|pump) (is |)(leaking|leaks|drips|weeping)",
            *SHAPES["leak/verb"],
        ),
        held_out=(
            "is (losing|leaking) " + _FLUID + " on the floor",
            "has " + _FLUID + " dripping (from|under) it",
        ),
    ),
    "battery": Phrases(
        "maintenance-note/en/battery/verb",
        train=(
            (
                "(does not|doesnt|wont|will not|is not|not) (charge|charging|take a charge|hold "
                "a charge|hold charge)"
            )
            + " "
            + _BAD,
            (
                "battery (is |)(dead|flat|empty|low|weak|bad|shot|done) (after {small} minutes|"
                "too soon|all the time|every morning|after a short time|)"
            ),
            (
                "(runs|ran|is running) (flat|out of battery|out of charge|empty) (too soon|too "
                "fast|after {small} minutes|)"
            ),
            "battery (lasts|holds) only {small} (minutes|min)",
            "(needs|wants) a new battery",
            "battery (drains|empties|loses charge|dies) (fast|quickly|too fast|overnight|)",
            "(is |)(always|constantly) (empty|flat|on low battery|discharged)",
            *SHAPES["battery/verb"],
        ),
        held_out=(
            "battery is empty (too fast|after {small} min)",
            "(wont|does not) hold its charge",
        ),
    ),
    "brakes": Phrases(
        "maintenance-note/en/brakes/verb",
        train=(
            (
                "(brakes|brake|the brakes) (are |is |)(weak|bad|worn|gone|soft|spongy|not "
                "working|failing|grabbing|poor|dead|slipping|pulling to one side|hardly working)"
            ),
            (
                "(does not|doesnt|wont|hardly|barely|cant) (brake|stop in time|stop when i "
                "brake|brake properly)"
            ),
            (
                "(brake pedal|hand brake|handbrake|parking brake|brake lever) (is |)(soft|stuck|"
                "not holding|loose|goes to the floor|broken|does nothing)"
            ),
            "(needs|wants) (new |)(brake pads|brakes|brake shoes)",
            "(rolls|keeps rolling|rolls on|slides) when (braking|i brake|i hit the brake)",
            *SHAPES["brakes/verb"],
        ),
        held_out=(
            "hand brake is not (holding|working)",
            "(brakes|brake) (very |)(weak|soft) when i stop",
        ),
    ),
    "noise": Phrases(
        "maintenance-note/en/noise/verb",
        train=(
            (
                "(makes|is making|making|has|with) (a |)(strange|loud|odd|funny|weird|horrible|"
                "grinding|squeaking|knocking|clicking|rattling|high|bad) (noise|sound)( when "
                "{doing}|)"
            ),
            (
                "(squeaks|squeaking|rattles|rattling|grinds|grinding|knocks|knocking|whines|"
                "whining|squeals|screeches|hums|buzzes|clicks|bangs|creaks)( "
            )
            + _BAD
            + "| when {doing}|)",
            "(is |)(very |too |really |)(loud|noisy)( when {doing}|)",
            "sounds (bad|wrong|awful|strange|like a coffee grinder|rough)( when {doing}|)",
            *SHAPES["noise/verb"],
        ),
        held_out=(
            "is making a (loud|strange) sound when {doing}",
            "(rattles|squeaks) (loud|a lot) when {doing}",
        ),
    ),
    "jam": Phrases(
        "maintenance-note/en/jam/verb",
        train=(
            "(is |)(jammed|stuck|blocked|jamming|clogged|wedged|seized)( " + _BAD + "|)",
            "(keeps|always) (jamming|sticking|blocking|getting stuck|getting jammed)",
            (
                "(box|carton|pallet|film|foil|something|a piece of wood|cardboard) (is |got |)"
                "(stuck|jammed|caught|trapped) (in|under|inside) it"
            ),
            (
                "(does not|doesnt|wont|will not|cant) (move|open|close|go up|go down|turn|lift|"
                "come down), (stuck|jammed|blocked|something is in the way)"
            ),
            (
                "(stuck|jammed|blocked) (half way|halfway|in the middle|at the top|with a box|"
                "by a carton|open|closed)"
            ),
            "(blocked|stopped|held up) by a (box|carton|pallet|piece of wood|strap|plank)",
            *SHAPES["jam/verb"],
        ),
        held_out=(
            "has a (box|carton) (stuck|jammed) (in|under) it",
            "is stuck (half way|in the middle), wont (move|open)",
        ),
    ),
    "broken_part": Phrases(
        "maintenance-note/en/broken_part/verb",
        train=(
            (
                "(fork|mast|seat|mirror|handle|lip|hinge|panel|cover|guard|spring|chain|frame|"
                "trigger|housing|bumper|step|rail|lever|backrest|arm) (is |)(bent|broken|"
                "cracked|torn|missing|loose|snapped|broken off|damaged|came off|fell off|"
                "hanging off|split)"
            ),
            (
                "(has|with) a (bent|broken|cracked|torn|missing|snapped|loose|damaged) (fork|"
                "mast|seat|mirror|handle|lip|hinge|panel|cover|guard|spring|chain|frame|trigger|"
                "arm|rail)"
            ),
            "(lost|is missing|misses) (a|its|the) (bolt|screw|cover|panel|mirror|guard|handle|pin)",
            (
                "(was hit|got hit|hit) by a (truck|forklift|trailer), (panel|frame|rail|lip|"
                "cover) (bent|cracked|broken)"
            ),
            *SHAPES["broken_part/verb"],
        ),
        held_out=(
            "(handle|cover|mirror) (has |)broken off",
            "has a (cracked|bent) (frame|panel|mast)",
        ),
    ),
    "electrical": Phrases(
        "maintenance-note/en/electrical/verb",
        train=(
            "(has no|no|without|lost) (power|electricity|lights|current)",
            (
                "(sparks|is sparking|sparking|sparked|smells of burnt wire|gives electric "
                "shocks|shorts|short circuit)( when {doing}|)"
            ),
            (
                "(fuse|breaker|main switch|fuses) (blown|keeps blowing|trips|tripped|gone|burnt|"
                "keeps tripping)"
            ),
            (
                "(cable|wire|plug|connector|socket|wiring|lead) (is |)(damaged|frayed|loose|"
                "broken|burnt|cut|melted|bare|hanging out)"
            ),
            (
                "(display|screen|control panel|light|keypad) (is |)(dark|dead|black|blank|off|"
                "flickering|frozen|not working|wont come on)"
            ),
            (
                "(does not|doesnt|wont|will not) (turn on|switch on|power up|start up|come on|"
                "boot|react)"
            ),
            "(shows|gives|throws) error (code |){code}( on the display| on the screen|)",
            *SHAPES["electrical/verb"],
        ),
        held_out=(
            "screen is (black|dark), wont (turn|switch) on",
            "(cable|plug) is (burnt|loose) and (sparks|sparking)",
        ),
    ),
    "overheating": Phrases(
        "maintenance-note/en/overheating/verb",
        train=(
            (
                "(overheats|is overheating|overheating|overheated|runs hot|gets hot|gets too "
                "hot|running hot|is too hot|very hot|goes hot)( "
            )
            + _BAD
            + "| when {doing}|)",
            (
                "(motor|engine|pump|housing|compressor|fan) (is |gets |runs |)(hot|too hot|very "
                "hot|overheating|burning hot|way too warm)( after {small} minutes|)"
            ),
            "(temperature warning|temp light|heat warning|overheat light) (on|is on|comes on)",
            "(is |)not (cooling|cold enough|cold|getting cold|cooling down)( any more| properly|)",
            "(too warm|too hot|warming up|stays warm)( inside|, {small} degrees|)",
            "(smells hot|smoking|smoke from the motor)",
            *SHAPES["overheating/verb"],
        ),
        held_out=(
            "motor is (overheating|too hot) after {small} min",
            "is (running|getting) too hot",
        ),
    ),
    "wheel": Phrases(
        "maintenance-note/en/wheel/verb",
        train=(
            (
                "(wheel|front wheel|rear wheel|load wheel|drive wheel|steer wheel|tyre|tire|"
                "left tyre|castor|caster|front tyre|back tire) (is |)(flat|worn|worn out|loose|"
                "split|cracked|broken|wobbly|damaged|bald|chunked|punctured|off|coming off)"
            ),
            (
                "(has|with) a (flat|worn|loose|broken|split|damaged|bad|wobbling) (wheel|tyre|"
                "tire|castor|load wheel|front wheel)"
            ),
            "(needs|wants) (a new|new) (wheel|wheels|tyre|tyres|tires|load wheels|castors)",
            "(lost|is losing) a (wheel|castor|tyre)",
            "(has a puncture|got a puncture|puncture front left|runs on a flat tyre)",
            *SHAPES["wheel/verb"],
        ),
        held_out=(
            "rear (tyre|wheel) is (flat|broken)",
            "has a (loose|worn) castor",
        ),
    ),
}

NOUNS: dict[str, Phrases] = {
    "leak": Phrases(
        "maintenance-note/en/leak/noun",
        train=(
            _FLUID + " leak",
            "(small|big|bad|slow|) leak",
            _FLUID + " on the floor",
            "leaking " + _FLUID,
            "(puddle|pool) of " + _FLUID,
            *SHAPES["leak/noun"],
        ),
        held_out=("(small|big) " + _FLUID + " leak",),
    ),
    "battery": Phrases(
        "maintenance-note/en/battery/noun",
        train=(
            "(dead|flat|weak|empty|low|bad) battery",
            "battery (problem|issue|fault|trouble|low|flat|empty)",
            "(charging|charge) (problem|fault|issue)",
            *SHAPES["battery/noun"],
        ),
        held_out=("(weak|flat) battery problem",),
    ),
    "brakes": Phrases(
        "maintenance-note/en/brakes/noun",
        train=(
            "(bad|weak|worn|no|soft|failed) brakes",
            "brake (problem|fault|failure|issue|defect)",
            "brakes (bad|weak|worn|failed|gone)",
            *SHAPES["brakes/noun"],
        ),
        held_out=("(weak|bad) brakes, brake fault",),
    ),
    "noise": Phrases(
        "maintenance-note/en/noise/noun",
        train=(
            "(strange|loud|grinding|squeaking|odd|knocking|rattling|terrible) (noise|noises|sound)",
            "(noise|squeak|rattle|squeal|grinding|knocking) when {doing}",
            *SHAPES["noise/noun"],
        ),
        held_out=("(loud|odd) rattling when {doing}",),
    ),
    "jam": Phrases(
        "maintenance-note/en/jam/noun",
        train=(
            "(jam|blockage|box jam|carton jam|paper jam|film jam|pallet jam)",
            "(stuck|jammed) (box|carton|pallet|film)",
            *SHAPES["jam/noun"],
        ),
        held_out=("(carton|box) jam, blockage",),
    ),
    "broken_part": Phrases(
        "maintenance-note/en/broken_part/noun",
        train=(
            (
                "(bent|broken|cracked|torn|missing|snapped|loose) (fork|mast|seat|mirror|handle|"
                "lip|hinge|panel|cover|guard|spring|chain|trigger|arm|step)"
            ),
            *SHAPES["broken_part/noun"],
        ),
        held_out=("(snapped|torn) (hinge|cover|seat), part missing",),
    ),
    "electrical": Phrases(
        "maintenance-note/en/electrical/noun",
        train=(
            "(electrical|electric|wiring) (fault|problem|issue)",
            (
                "(blown fuse|short circuit|no power|loose cable|damaged cable|burnt plug|dead "
                "display|black screen|power cut)"
            ),
            "error (code |){code}",
            *SHAPES["electrical/noun"],
        ),
        held_out=("(burnt cable|loose plug), electrical problem",),
    ),
    "overheating": Phrases(
        "maintenance-note/en/overheating/noun",
        train=(
            "overheating( problem| motor|)",
            "(hot|overheated|smoking) (motor|pump|engine)",
            "(temperature|overheat) warning",
            "cooling (problem|failure|fault)",
            "temperature too high",
            *SHAPES["overheating/noun"],
        ),
        held_out=("overheating (pump|engine), too hot",),
    ),
    "wheel": Phrases(
        "maintenance-note/en/wheel/noun",
        train=(
            (
                "(flat|worn|broken|loose|split|damaged) (wheel|tyre|tire|castor|load wheel|"
                "front wheel)"
            ),
            "(wheel|tyre|tire) (problem|damage|worn|broken)",
            "puncture",
            *SHAPES["wheel/noun"],
        ),
        held_out=("(damaged|worn) rear tyre",),
    ),
}
