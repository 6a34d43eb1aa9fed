"""Phrases of stock-question: how each kind of question is asked, and what is said beside it."""

from __future__ import annotations

from .phrase import Phrases
from .stock_extremes import EXTREMES

_HAVE = (
    "(do we have|have we got|are there|are left|we got|are in stock|is there|are on hand|remain)"
)
_PCS = "(pieces|pcs|pc|items|cartons|)"

QUESTIONS: dict[tuple[str, str], Phrases] = {
    ("item", "quantity"): Phrases(
        "stock-question/item/quantity",
        train=(
            "how (many|much) (of |){item} " + _HAVE + "( now| today| still|)",
            "how (many|much) " + _PCS + " of {item}( " + _HAVE + "|)",
            "(stock|quantity|qty|count|amount|number|inventory|level) (of|for|on|) {item}",
            "{item} (how many|how much|stock|qty|quantity|count|amount|left|on hand|pcs)",
            (
                "(need|want|check|give me|show|whats|what is) the (stock|quantity|count|"
                "qty|amount|number) (of|for) {item}"
            ),
            "(is there|do we have|have we|got) (any |still |enough |){item}( left|)(?|), how many",
            "{item}: (how many|qty|quantity|count|stock)",
            "(left|remaining|available) of {item}",
            "(can you |)count {item}",
            "{item}(, anything left?|, any left?|, how many?| any left)",
            "(qty|stock|count|inv|onhand|bal)(: |=|? |. | - | >> |/){item}",
            "{item}( =| :|:|/| -|,|;) (qty|stock|count|how much|pcs|number pls|balance|total)(?|)",
            (
                "(i need|i want|we want|we need|report) (the |)(stock|count|balance|"
                "figure|total|qty) (of|on|for) {item}"
            ),
            (
                "(could|can|would) (you|u|anyone|someone) (check|see|tell me|look up) how "
                "(many|much) {item} (there is|there are|we have|is left|remain)"
            ),
            "(how far down|how low|how high) (is|are) (the stock of |){item}",
            (
                "(any idea|do you know|not sure|wondering|i wonder) how (many|much) (of |"
                "){item} (is left|are left|we have|we still have)"
            ),
            "(number|amount|count) of (pieces|units|pcs) (for|of|left of) {item}",
            "(enough|plenty|sufficient) {item}(?|) (how many|how much|count|qty)",
            "of {item}, how (many|much) (do we hold|are here|is here|have we|exist)",
            (
                "(stock level|stock count|stock check|inventory check|quick count)(:|,|) "
                "{item}(, number please|)"
            ),
            "(total|sum|balance|remaining qty|remainder) (of|for) {item}(?|)",
            (
                "(for|about|regarding|re|concerning) {item}(:|,) (how many|how much|what "
                "quantity|what stock|the count)"
            ),
            "(has|have) {item} (still |)(got |)stock, (what quantity|how much|how many)",
            "{item} (is at|stands at|holds|amounts to) (what|which) (quantity|count|number|level)",
        ),
        held_out=(
            "how many units of {item} do we have",
            "tell me the qty for {item}",
            "{item} - how many left",
        ),
    ),
    ("item", "bin"): Phrases(
        "stock-question/item/bin",
        train=(
            (
                "(where|in which bin|in what bin|which bin|what bin|which shelf|which place|"
                "what location) (is|do i find|can i find|is stored|do we have|sits) "
                "{item}"
            ),
            "(bin|location|loc|place|shelf|position|storage bin) (of|for) {item}",
            (
                "{item} (where|which bin|what bin|bin|location|loc|which shelf|where is it|"
                "where to find|place)"
            ),
            (
                "(find|locate|looking for|i need|searching|pick|cant find|go get|fetch) "
                "{item}(,| -|:|) (where|which bin|where is it|what bin|location|which shelf|"
                "what shelf|tell me the bin)"
            ),
            ("(whats|tell me|give me|show me) the (bin|location|place|shelf) (of|for) {item}"),
            "{item}: (bin|where|location|which shelf)",
            "where (is|are|do they keep|should i look for) (the |){item}",
            "where's {item}",
            "(bin|loc|place|where|spot|slot)(: |=|? |. | - | >> |/){item}",
            "{item}( =| :|:|/| -|,|;) (bin|where|loc|which slot|place pls|spot|storage)(?|)",
            (
                "(could|can|would) (you|u|anyone|someone) (check|see|tell me|look up) where "
                "{item} (is|sits|lies|went)"
            ),
            (
                "(any idea|do you know|no clue|wondering|i wonder|remind me) (where|which "
                "bin) {item} (is|is in|sits in|lies in)"
            ),
            (
                "(where|which way) (to|do i go for|do i get|can i pick|do i pick|must i go "
                "for) {item}"
            ),
            (
                "(for|about|regarding|re|concerning) {item}(:|,) (where|which bin|"
                "what place|the bin)"
            ),
            (
                "(in which|from which|to which|at which) (slot|bin|shelf|spot|place) (is|do "
                "i get|belongs|can i pick) {item}"
            ),
            (
                "{item} (sits|lies|is kept|is stored|belongs|hides|goes) (where|in which bin|"
                "in what bin|on which shelf)"
            ),
            (
                "(i cannot find|i lost|customer wants|they want|must pick|have to pick) "
                "{item}(, |. | - )(bin|where|which shelf|where to go)"
            ),
            (
                "(put away|putaway|restock|refill) {item}(,|:| -|) (where|which bin|into "
                "which bin|bin)"
            ),
            (
                "(name|report|send me|i want|i need) the (bin|slot|place|spot) (of|for|"
                "holding|with) {item}"
            ),
            "(pick|picking|fetch) (place|spot|bin|slot) (of|for) {item}",
            "(take me to|guide me to|way to|direction to|path to) {item}",
            "(storage|home|address|spot|slot) (of|for) {item}(?|)",
            "(has anyone|did anyone|anyone) (seen|see|find) {item}(?|)(, which bin|, where|)",
        ),
        held_out=(
            "what is the location for {item}",
            "where do we keep {item}",
            "need {item}, what bin",
        ),
    ),
    ("bin", "item"): Phrases(
        "stock-question/bin/item",
        train=(
            (
                "(what|which item|what item|which article|what product|which sku|what stuff) "
                "(is|lies|do we have|sits|is stored|do we keep|is kept|lives) "
                "(in|on|at) (bin |){bin}"
            ),
            "(content|contents|item|product|article|sku) (of|in|at) (bin |){bin}",
            (
                "{bin} (what|what is in it|which item|contents|item|product|what item|whats "
                "there|whats inside)"
            ),
            "(whats|what's|what is) (in|at|on|inside|stored in) (bin |){bin}",
            (
                "(show|check|tell me|look up|give me|find|name) (me |)(the |)(item|product|"
                "article|sku|content) (in|of|at|on) (bin |){bin}"
            ),
            "bin {bin}: (what item|contents|item|which product|what is it)",
            (
                "(i am|im|standing) (at|in front of) {bin}, what (is it|item is this|should be "
                "here|lies here)"
            ),
            "(item|sku|art|article|content|product)(: |=|? |. | - | >> |/){bin}",
            "{bin}( =| :|:|/| -|,|;) (item|content|what|article|what lies there|product pls)(?|)",
            (
                "(could|can|would) (you|u|anyone|someone) (check|see|tell me|look up) what "
                "(is|lies|sits|we keep) (in|at) (bin |){bin}"
            ),
            (
                "(any idea|do you know|no clue|wondering|i wonder|remind me) what (is|lies|"
                "sits|we keep) (in|at) (bin |){bin}"
            ),
            (
                "(for|about|regarding|re|concerning) (bin |){bin}(:|,) (what item|which item|"
                "what is it|the item)"
            ),
            "(in|at|on) (bin |){bin}(,|:| is|) (what|which item|what item|which article)",
            "(whose|which|what) (home|place|slot) is (bin |){bin}(, which item|, what item|)",
            (
                "(bin |){bin} (holds|contains|keeps|has|stores) (what|which item|which "
                "article|what sku|which code)"
            ),
            (
                "(name|report|send me|i want|i need) the (item|article|code|sku) (in|at|of|"
                "from) (bin |){bin}"
            ),
            (
                "(opened|scanned|checking|counting|emptying) (bin |){bin}(, |: | - )(what|"
                "which item|what item) (is it|should it be|is there)"
            ),
            (
                "(label|sign|tag) (is |)(missing|gone|torn|unreadable) (at|on) (bin |){bin}, "
                "(which item|what item|what is it)"
            ),
            (
                "(slot|shelf|place|spot|location) {bin}(:|,|) (what item|which article|whats "
                "there|content|item)"
            ),
            (
                "(what|which) (code|item code|article number|sku) (belongs|goes) (in|to|"
                "at) (bin |){bin}"
            ),
            "(identify|name) (what is in |the stuff in |the goods in |the item of )(bin |){bin}",
        ),
        held_out=(
            "which product is in {bin}",
            "tell me what item is at bin {bin}",
            "{bin}: which sku",
        ),
    ),
    ("bin", "quantity"): Phrases(
        "stock-question/bin/quantity",
        train=(
            "how (many|much) " + _PCS + " (are |is |do we have |lie |)(in|on|at) (bin |){bin}",
            "(stock|quantity|qty|count|amount|number|level) (in|at|of|for|on) (bin |){bin}",
            "{bin} (how many|how much|qty|quantity|count|stock|amount)",
            (
                "(whats|what is|tell me|give me) the (quantity|count|qty|stock|amount|number) "
                "(in|at|of) (bin |){bin}"
            ),
            "(count|count up) (of |)(bin |){bin}",
            "bin {bin}: (how many|qty|count|quantity)",
            "(how full is|how much is in) (bin |){bin}",
            "(qty|stock|count|pcs|how many|amount)(: |=|? | - | >> |/)(bin |){bin}",
            "{bin}( =| :|:|/| -|,|;) (qty|count|how many pcs|number|units|amount pls)(?|)",
            (
                "(could|can|would) (you|u|anyone|someone) (check|see|tell me|look up) how "
                "(many|much) (is|are|lies|we have) (in|at) (bin |){bin}"
            ),
            (
                "(any idea|do you know|no clue|wondering|i wonder|remind me) how (many|much) "
                "(is|are|lies|sits) (in|at) (bin |){bin}"
            ),
            (
                "(for|about|regarding|re|concerning) (bin |){bin}(:|,) (how many|how much|"
                "what quantity|the count)"
            ),
            (
                "(in|at|on) (bin |){bin}(,|:|) (how many|how much|what quantity|which "
                "quantity|what count)"
            ),
            "(bin |){bin} (holds|contains|keeps|has|stores) how (many|much)( pieces| pcs|)",
            (
                "(name|report|send me|i want|i need) the (count|quantity|number|stock) (in|"
                "at|of|from) (bin |){bin}"
            ),
            (
                "(opened|scanned|checking|counting|emptying) (bin |){bin}(, |: | - )how many "
                "(should there be|are there|must be there)"
            ),
            "(slot|shelf|place|spot|location) {bin}(:|,|) (how many|qty|count|quantity|how much)",
            "(is there|anything) (enough|left) in (bin |){bin}, (how many|how much|qty)",
            "(number|count|total) of (pieces|pcs|items|units) (in|at|inside) (bin |){bin}",
            (
                "(remaining|remainder|left|what remains|rest) (in|at) (bin |){bin}, (count|"
                "number|how many|qty)"
            ),
            "(stock check|quick count|cycle count|inventory)(:|,|) bin {bin}",
            "(how low|how empty|how loaded) is (bin |){bin}",
        ),
        held_out=("how many units in bin {bin}", "the qty of {bin}", "{bin} - how much is there"),
    ),
    **EXTREMES,
}
ASIDE = Phrases(
    "stock-question/aside",
    train=(
        "(please|pls|thx|thanks|quick question|hi|hello|hey|fyi|asap|urgent)",
        (
            "(customer|the client|the office|{firm}|the boss|production|sales) (asks|wants to "
            "know|is asking|needs it|calls)"
        ),
        "(order|PO|for order) {order}",
        "(truck waits|truck leaves at {clock}|before {clock}|for {town})",
        "(can you|could you) (check|tell me|look|help)",
        "(i think|maybe|not sure|system is slow|my scanner is dead)",
        (
            "(boss|office|sales|customer|driver|night shift|{name} from {firm}) (is "
            "waiting|waits for it|needs this now|called)"
        ),
        "(for|from|re) (order|PO|job|ticket|list) {order}",
        "(dock|gate|door|line|zone) {small} (waits|is waiting|needs it|asks)",
        "(good morning|morning|evening|good day|hey there|hi team|hello again|sorry|excuse me|ok)",
        "(no rush|take your time|when you can|its urgent|hurry|right now|quickly|at once)",
        "(thank you|many thanks|cheers|ty|thanks a lot|tks|danke|gracias)",
        (
            "(i am|im|we are) (picking|counting|at the shelf|on the forklift|doing "
            "inventory|new here|in a hurry)"
        ),
        "({name} here|this is {name}|msg from {name}|{name} speaking|{firm} here)",
        "(shipping|delivery|pickup|truck) (to|for) {town} (at|by) {clock}",
        "(Q|question|ask|query|help|request|info|stock msg)",
        "(customer {name}|the guy from {firm}|our man in {town}) (called|is on the phone|waits)",
        "(forgot it|list is gone|paper is wet|screen is dark|no label here|cant read the sheet)",
    ),
    held_out=("{name} asks", "for {firm}, pls", "quick, truck leaves {clock}"),
)
