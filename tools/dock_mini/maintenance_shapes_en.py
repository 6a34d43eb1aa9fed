"""More English sentence shapes of maintenance-note, for training only, by phrase group."""

from __future__ import annotations

_FLUID = "(oil|hydraulic oil|fluid|coolant|water|brake fluid|acid|lube|gear oil)"
_PART = "(fork|mast|seat|mirror|handle|hinge|panel|cover|guard|spring|chain|bracket|knob|lid)"
_WHEEL = "(wheel|tyre|tire|castor|roller|load wheel|front wheel|rear wheel|drive wheel)"

SHAPES: dict[str, tuple[str, ...]] = {
    "leak/verb": (
        _FLUID + " (is |)(coming|running|dripping|pouring) (out|out of it|down the side)",
        "there is " + _FLUID + " (all over|on) the (floor|ground)( after it| where it stood|)",
        "(left|made) a (mess|stain|wet patch) of " + _FLUID + " (in the aisle|on the concrete|)",
        "(must be|has been) losing " + _FLUID + "( for days|, level is low|)",
        "(i|we) (top up|refill|add) the " + _FLUID + " every (day|shift), it (runs out|leaks)",
        "(wet with|covered in) " + _FLUID + "(, a seal has gone|, looks like a leak|)",
        "(not tight|no longer tight|leaky), " + _FLUID + " (underneath|around it)",
    ),
    "leak/noun": (
        "(leak|leakage) of " + _FLUID,
        _FLUID + " (drops|stain|puddle|loss|everywhere)",
        "(leaking|leaky|dripping) (hose|seal|cylinder|pipe|valve)",
        "(loses|losing) " + _FLUID,
    ),
    "battery/verb": (
        "(has to|must) be (charged|recharged) (every hour|all day|twice a shift|again and again)",
        "(charge|charging) (stops|ends|breaks off) after {small} (min|minutes)",
        "(after|even after) (charging all night|a full charge) the battery is (low|empty|flat)",
        "(goes|went) flat (in the middle of the shift|within the hour|every afternoon)",
        "battery (does not|wont|will not) (last|hold|keep up)( a shift| till lunch|)",
        "the battery (keeps|is) (dying|draining|going flat)( on us|)",
        "(low|no) (charge|battery)( again| all day|), (new|another) battery needed",
    ),
    "battery/noun": (
        "battery (not charging|wont charge|not holding|drained|worn out|finished)",
        "(no charge|charging error|not charging|empty cells|battery cell bad)",
        "(problem|issue) with the (battery|charging)",
    ),
    "brakes/verb": (
        "(almost|nearly) did not stop, (brakes|the brake) (no good|too weak)",
        "(takes|needs) (ages|too long|{small} metres) to (stop|brake)",
        "when (braking|you brake) (it pulls left|it pulls right|nothing happens|it just rolls)",
        "(no|little|hardly any) (braking|brake) (power|effect|force)",
        "the (foot brake|service brake|parking brake) (has gone|wont hold|is worn|does not hold)",
        "you (press|push) the brake and (nothing happens|it rolls on)",
    ),
    "brakes/noun": (
        "(brakes|brake) (not holding|dont hold|not working|worn out|too soft)",
        "(problem|trouble) with the (brakes|handbrake|brake)",
        "(worn|thin) brake (pads|shoes|linings)",
    ),
    "noise/verb": (
        "(i|we) (hear|can hear) a (bang|knock|squeal|rattle|whistle|hum)( when {doing}|)",
        "there is a (knocking|grinding|squealing|humming|scraping) (noise|sound)( when {doing}|)",
        "when {doing} (it|there) is a (loud|nasty|strange) (noise|bang|squeak)",
        "what is that (noise|sound|squeal)( when {doing}|)?",
        "so (loud|noisy) that you (hear it across the hall|cover your ears)",
        "(sounds|is sounding) like (metal on metal|a dying cat|gravel|a dry bearing)",
    ),
    "noise/noun": (
        "(unusual|nasty|scraping|metallic|humming) (noise|sound)( when {doing}|)",
        "(squealing|banging|whistling|humming|creaking)( noise| sound|)( when {doing}|)",
        "too (loud|noisy)( when {doing}|)",
    ),
    "jam/verb": (
        "(nothing goes through|wont budge|does not budge), (jam|blockage|it is jammed)",
        "(got|getting|gets) (jammed|stuck|blocked) (every {small} minutes|all morning|again|)",
        "(had|found) (a|another|one more) (carton|pallet|board|strap) wedged in there( again|)",
        "(a|some) (wrap|film|tape|carton|plastic) (has |)jammed (it|the thing)( up|)",
        "(stays|is staying|remains) stuck( half way| open| shut| at the bottom|)",
        "can not (get|pull) the (box|carton|pallet|film) out, (jammed|stuck)",
    ),
    "jam/noun": (
        "(box|carton|film|pallet|parcel|plank) (stuck|jammed|wedged)( inside|)",
        "(blocked|clogged|obstructed)",
        "(jam|blockage) (again|inside|by a box|by film)",
    ),
    "broken_part/verb": (
        "the " + _PART + " (came|fell|broke|snapped) off",
        "(one|part) of the " + _PART + " (is |)(bent|broken|cracked|missing)",
        "there is a (crack|tear|dent|hole) in the " + _PART,
        "someone (bent|broke|snapped|ripped off) the " + _PART,
        "(needs|requires) a new " + _PART + "(, old one broken|, the old one is cracked|)",
        _PART + " (is |)(hanging|dangling|half off|in two pieces|not attached any more)",
        "without (its|a) " + _PART + ", (broke|fell|torn) off",
    ),
    "broken_part/noun": (
        _PART + " (broken|bent|cracked|missing|torn off|loose|snapped)",
        "(crack|tear|dent) in the " + _PART,
        "(broken|missing|lost) (part|bolt|screw|pin)",
    ),
    "electrical/verb": (
        "there is no (power|electricity|current)( on it|)",
        "(all|the) lights (are |)(out|off)(, no power|, no current|)",
        "(sparks|a spark) (came|come|flying) (out of|from) the (plug|panel|socket|cable)",
        "(keeps|is) (tripping|blowing) the (fuse|breaker|RCD)",
        "nothing on the (screen|display|panel)( when i press start|)",
        "the (screen|display|panel) (says|reads) error (code |){code}",
        "(loose contact|bad connection|broken wire) (in|at) the (plug|cable|switch|panel)",
        "(gave|gives) me (a shock|an electric shock)",
        "the (switch|button|start button) (does nothing|has no effect|is burnt)",
    ),
    "electrical/noun": (
        "(fault|error) (code |){code}( on the display|)",
        "(sparks|frayed cable|loose wire|melted plug|broken switch|tripped breaker|no current)",
        "(problem|fault) (in|with) the (electrics|wiring|power supply)",
    ),
    "overheating/verb": (
        "becomes (really |very |far too |)hot (to the touch|within minutes|in normal use)",
        "you cannot touch the (motor|pump|housing), (so|too) hot",
        "there is (smoke|steam) (coming |)(out of|from) the (motor|engine|hood)",
        "(shows|has|gives) (a |)(temperature|heat|overheat) warning",
        "(temperature|temp) (keeps rising|goes up|climbs|too high)( inside|)",
        "(the goods|it) (get|gets|is) warm inside, no cooling",
        "(cools|is cooling) (badly|poorly|hardly at all|less and less)",
    ),
    "overheating/noun": (
        "(excess heat|high temperature|too much heat|temp too high)",
        "(motor|engine|pump|compressor) (too hot|overheated|overheating|smoking)",
        "(no|poor|weak) cooling",
        "smoke (from|out of) the (motor|engine)",
    ),
    "wheel/verb": (
        "the " + _WHEEL + " (wobbles|came off|has a flat spot|is about to come off|has no tread)",
        "there is a (nail|screw|hole|cut) in the (tyre|tire|front tyre)",
        "(one|one of the) (wheels|tyres|rollers|castors) (is |)(flat|loose|worn|damaged|cracked)",
        "(drives|rolls|runs) (uneven|bumpy), " + _WHEEL + " (worn|damaged|flat)",
        "(chunk|piece|lump) (missing from|out of) the " + _WHEEL,
        "(no air|low air|air gone) in the (tyre|front tyre|rear tire)",
    ),
    "wheel/noun": (
        "(flat|puncture|blowout)( front left| rear right| on the left|)",
        _WHEEL + " (loose|flat|cracked|split|worn out|wobbling)",
        "(bald|punctured|wobbly|cracked) " + _WHEEL,
    ),
    "urgent": (
        "(status|priority|prio|note|level)(:| -|) (urgent|high|very high|top|immediate)",
        (
            "(we|i) (really |)need (this|it|that one) (fixed |repaired |back |)(at once|right "
            "away|now)"
        ),
        "(can|could) (it|this) be (fixed|repaired|done) (asap|right now|immediately)?",
        "(please |)(treat|mark|handle) (this |it |)as urgent",
        "(this|it|that) (is|looks|feels) (really |very |)(dangerous|urgent|unsafe)",
        "(must|has to|needs to) be (fixed|repaired|done) (immediately|at once|without delay|asap)",
        "(a |real |)(danger|hazard|risk) (to|for) (people|the drivers|everyone|us)",
        "(do|fix|repair) (this|that|it) (first|before anything else|as soon as you can)",
        "(no time to lose|it will not wait|this cannot wait|must not wait|without delay)",
        "somebody (could|might|may) (get|be) (hurt|injured)",
        "(repair|action|help) (required|needed|wanted) (immediately|asap|urgently|at once)",
    ),
    "low": (
        "(status|priority|prio|note|level)(:| -|) (low|not urgent|can wait|whenever)",
        "(there is|theres) (plenty of time|no need to hurry|no need to rush|no pressure)",
        "(you can|please|just) (do|fix|repair) (it|this) (when|whenever) (you can|it suits you)",
        "(this|it) (is|is really) (nothing urgent|no emergency|not a priority)",
        "(could|can|may) (be done|be fixed|wait|be left) (until|till) (the |)next "
        "(service|inspection|week)",
        "(take|you can take) your time",
        "(add|put) (it|this) (to|on) the (list|plan) for the next (service|check)",
        "(does not|doesnt) (have|need) to be (today|done today|soon)",
        "(it can|let it|this can) (easily |)wait( a while| a few days|)",
        "(not in a hurry|no hurry at all|in no rush|at your leisure|one day when it is quiet)",
    ),
    "frame": (
        "{asset} - {verb}",
        "{asset}, {verb}",
        "{asset}: {verb}",
        "{noun}: {asset}",
        "{noun} - {asset}",
        "{asset} <{noun}>",
        (
            "(machine|unit|asset|equipment)(:| =|) {asset}(,| -| /|;) (fault|defect|problem)(:|"
            ") {noun}"
        ),
        "(what|fault|defect): {noun}(,| /|;|) (where|machine|asset)(:|) {asset}",
        "(is it normal|did you know|have you heard) that {asset} {verb}?",
        "(just saw|looks like|seems|i think|it seems that|says here) {asset} {verb}",
        "{name} (says|reports|tells me) (that |){asset} {verb}",
        "(today|this morning|since yesterday|during the shift|on my round)(:|) {asset} {verb}",
        "(please |can you |could you |)(look at|repair|check|fix) {asset}(, it|, because it|:) "
        "{verb}",
        "(repair|fix) (job|request) for {asset}(:|,| because of) {noun}",
        "{noun} (reported|again|noted) (for|with|from) (the |){asset}",
        "(it is|its) (the |){asset}( again|)(:|,) {verb}",
        "{asset} (shows|suffers from|is back with|to repair:|needs a repair,) {noun}",
        "(another|once more) {noun}, (this time |)(on |){asset}",
        "(hi|hello|hey)(,| team,| guys,) {asset} {verb}",
    ),
    "out_of_service": (
        (
            "(status|state|note)(:| -|) (out of service|down|stopped|parked|locked out|offline|"
            "not in use)"
        ),
        (
            "(we|i) (have |had to |)(took|taken|take|pulled) it (out of use|out of service|off "
            "the floor)"
        ),
        "(we|i) (have |)(parked|locked|stopped|blocked|tagged) it( off| for safety| now|)",
        "(it |)(was|has been|got) (parked|locked out|switched off|shut down|tagged|taken offline)",
        "(it|machine|unit) (is|stays|remains) (parked|locked|out of use|off|blocked|stopped)"
        "( until you come| until repaired| for now|)",
        "(sign|tape|barrier|padlock|red card|chain) (on|around) it, (do not|nobody can) use it",
        "(no one|nobody) (is allowed to|may|should) (drive|touch|operate|start|use) it",
        "(no longer|not) (running|in operation|in service|usable)( at all| any more|)",
        "(withdrawn from use|isolated|decommissioned for now|unusable|put out of action)",
        (
            "(stands|standing|sits|sitting|waiting) (unused|idle|parked) (in the workshop|"
            "outside|here)"
        ),
        "(it |)(has |)(stopped|died|quit) (completely|altogether|for good)",
    ),
    "aside": (
        "(note|info|from|by|sender)(:| -) {name}",
        "(location|place|where)(:|) (hall|aisle|zone) {small}",
        (
            "(last|previous) (service|repair|inspection) (was |)(in |)(march|may|spring|two "
            "months ago)"
        ),
        "(please |)(confirm|let me know|reply|keep me posted|give me a shout)( by mail|)",
        "(who|when) (is|are) (coming|on duty|you here)?",
        "(driver|operator|user)(:| was| is) {name}",
        "({name} and i|the night shift|the new guy|we all) (saw|noticed|heard) it",
        (
            "(it |)(happens|comes) (only |mostly |)(when cold|in the morning|with heavy loads|"
            "when {doing})"
        ),
        "(we are|i am) (in the office|at the dock|on site) (till|until|from) {clock}",
        "(it |)(still|yes it still) (goes|drives|does its job|runs fine otherwise)",
        "(we|they) (can still|still) (use|work with) it",
        "(new|replaced|fitted) (in |last |)(may|year|autumn)",
        "(ref|serial|number on the plate) {order}",
        "(logged|written down|in the book|entered) (at {clock}|by {name}|today)",
        (
            "(not the first time|never had this before|first time|used to be good|same story "
            "as before)"
        ),
        "(have a nice day|good morning|good evening|many thanks|ta|best, {name}|over to you)",
        "(loaded|empty|with {small} pallets) (at the time|when it happened)",
        "{name} (will|can) (explain|show you)",
    ),
}
