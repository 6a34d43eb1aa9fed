"""Phrases of stock-question that ask for the most or the least: its item, bin or quantity."""

from __future__ import annotations

from .phrase import Phrases

EXTREMES: dict[tuple[str, str], Phrases] = {
    ("most", "item"): Phrases(
        "stock-question/most/item",
        train=(
            (
                "(which|what) (item|one|product|sku|article|) (has|have we|do we have) the "
                "(most|largest|highest|biggest) (stock|quantity|number|count|amount|)"
            ),
            (
                "(item|product|sku|article|code) (with|having) the (most|largest|highest|"
                "biggest|max) (stock|quantity|qty|pieces|count|units|amount|number)"
            ),
            "(what|which) do we have (the |)most (of|pieces of)",
            "(most|highest|largest|max|biggest|top) (stock|quantity|count) (item|product|sku)",
            "(which|what) (item|one) is (the most|the highest|the biggest|fullest)",
            "(of which|of what) (item |)(are there|do we have) (the |)most",
            "(best|most) stocked item",
            (
                "(item|sku|article|product)(: |=|? | - | >> |/)(max stock|highest|largest|"
                "biggest qty|most|most)"
            ),
            (
                "(max stock|highest|largest|biggest count|highest|largest|biggest quantity)( "
                "=| :|:|/| -|,) (which item|what item|item|which sku|item code)(?|)"
            ),
            (
                "(could|can|would) (you|u|someone) (check|see|tell me|look up) which (item|"
                "article|sku) has the (highest|largest|biggest) (stock|number|quantity)"
            ),
            (
                "(any idea|do you know|wondering|i wonder) (which|what) (item|article|code) "
                "(we have|there is) the most of"
            ),
            (
                "(name|report|send me|i want|i need) the (item|article|code|sku) with the "
                "(highest|largest|biggest|max) (stock|count|quantity)"
            ),
            "(which|what) (item|article|code|sku) do we (hold|keep|own|store) the (most|most) of",
            (
                "(which|what) (item|article|code|sku) (has|counts|shows) (more than all "
                "others|more than the rest)"
            ),
            (
                "of all (items|articles|codes), which (one |)has the (highest|largest|"
                "biggest) (stock|count|number)"
            ),
        ),
        held_out=("what item has the largest qty", "which product do we have most of"),
    ),
    ("least", "item"): Phrases(
        "stock-question/least/item",
        train=(
            (
                "(which|what) (item|one|sku|article|) (has|have we|do we have) the "
                "(least|smallest|lowest|fewest) (stock|quantity|qty|number|count|amount|pieces|)"
            ),
            (
                "(item|product|sku|article|code) (with|having) the (least|smallest|lowest|"
                "fewest|min) (stock|quantity|qty|pieces|count|units|amount)"
            ),
            "(what|which) (do we have|have we) (the |)(least|fewest) (of|pieces of)",
            "(lowest|smallest|least|min|minimum) (stock|quantity|count) (item|product|sku)",
            (
                "(what|which|which one|which item|what item) is (running low|nearly gone|almost "
                "out|running out|lowest|scarce|nearly empty|low)"
            ),
            (
                "(what|which item|which) (to reorder|should we reorder|runs out first|do we "
                "order|must be reordered|needs refill)( first|)"
            ),
            "what (will be|is) gone first",
            (
                "(item|sku|article|product)(: |=|? | - | >> |/)(min stock|lowest|smallest|"
                "tiniest qty|fewest|least)"
            ),
            (
                "(min stock|lowest|smallest|tiniest count|lowest|smallest|tiniest quantity)( "
                "=| :|:|/| -|,) (which item|what item|item|which sku|item code)(?|)"
            ),
            (
                "(could|can|would) (you|u|someone) (check|see|tell me|look up) which (item|"
                "article|sku) has the (lowest|smallest|tiniest) (stock|number|quantity)"
            ),
            (
                "(any idea|do you know|wondering|i wonder) (which|what) (item|article|code) "
                "(we have|there is) the fewest of"
            ),
            (
                "(name|report|send me|i want|i need) the (item|article|code|sku) with the "
                "(lowest|smallest|tiniest|min) (stock|count|quantity)"
            ),
            (
                "(which|what) (item|article|code|sku) do we (hold|keep|own|store) the "
                "(fewest|least) of"
            ),
            (
                "(which|what) (item|article|code|sku) (has|counts|shows) (less than all "
                "others|less than the rest)"
            ),
            (
                "of all (items|articles|codes), which (one |)has the (lowest|smallest|"
                "tiniest) (stock|count|number)"
            ),
        ),
        held_out=("what product has the smallest quantity", "which item is the lowest"),
    ),
    ("most", "bin"): Phrases(
        "stock-question/most/bin",
        train=(
            (
                "(which|what) bin (has|holds|contains) the (most|largest stock|highest count|"
                "biggest quantity|most pieces)"
            ),
            (
                "(in which|in what|what|which) (bin|place|location|shelf) (is|has) the (biggest|"
                "largest|highest|most) (stock|count|amount)"
            ),
            "(fullest|biggest) (bin|shelf)",
            (
                "where (is|do we have|lies) the (most|largest|biggest|highest) (stock|quantity|"
                "amount|pile|count|)"
            ),
            (
                "(bin|place) (of|with) the (most|largest|highest|biggest) (stock|"
                "quantity|count|pieces)"
            ),
            "(most|largest stock|highest quantity)(:|,) (where|which bin)",
            (
                "(bin|loc|place|slot)(: |=|? | - | >> |/)(max stock|highest|largest|biggest "
                "qty|most|most)"
            ),
            (
                "(max stock|highest|largest|biggest count|fullest)( =| :|:|/| -|,) (what bin|"
                "bin|which slot|which shelf)(?|)"
            ),
            (
                "(could|can|would) (you|u|someone) (check|see|tell me|look up) which (bin|"
                "slot|shelf) is the (fullest|highest|largest|biggest)"
            ),
            (
                "(any idea|do you know|wondering|i wonder) (which|what) (bin|slot|shelf) "
                "(has|holds) the (most|most)"
            ),
            (
                "(name|report|send me|i want|i need) the (bin|slot|place) (with|holding) the "
                "(highest|largest|biggest|max) (stock|count|number)"
            ),
            "(which|what) (bin|slot|shelf|place) (is|looks) (the |)(fullest)",
            (
                "of all (bins|slots|shelves|places), which (one |)(has|holds) the (highest|"
                "largest|biggest) (stock|count|number)"
            ),
            (
                "(which|what) (bin|slot|shelf) (has|counts|holds) (more than all others|more "
                "than the rest)"
            ),
            (
                "(in|at) (which|what) (slot|bin|spot) (lies|is kept|do we keep) the (highest|"
                "largest|biggest) (lot|pile|amount)"
            ),
            "(take me to|way to|show me|find|point me to) the (fullest) (bin|slot|shelf)",
        ),
        held_out=("what bin has the highest quantity", "location with the most pieces"),
    ),
    ("least", "bin"): Phrases(
        "stock-question/least/bin",
        train=(
            (
                "(which|what) bin (has|holds|contains) the (least|smallest stock|lowest count|"
                "fewest pieces|least pieces)"
            ),
            (
                "(in which|in what|what|which) (bin|place|location|shelf) (is|has) the "
                "(smallest|lowest|least) (stock|count|amount)"
            ),
            "(emptiest|smallest|lowest) (bin|shelf)",
            "where (is|do we have|lies) the (least|smallest|lowest) (stock|quantity|amount|count|)",
            (
                "(bin|place) (of|with) the (least|smallest|lowest|fewest) (stock|"
                "quantity|count|pieces)"
            ),
            (
                "(least|smallest stock|lowest quantity)(:|,) (where|which bin|tell me the bin|"
                "where is it)"
            ),
            (
                "(bin|loc|place|slot)(: |=|? | - | >> |/)(min stock|lowest|smallest|tiniest "
                "qty|fewest|least)"
            ),
            (
                "(min stock|lowest|smallest|tiniest count|emptiest)( =| :|:|/| -|,) (what "
                "bin|bin|which slot|which shelf)(?|)"
            ),
            (
                "(could|can|would) (you|u|someone) (check|see|tell me|look up) which (bin|"
                "slot|shelf) is the (emptiest|lowest|smallest|tiniest)"
            ),
            (
                "(any idea|do you know|wondering|i wonder) (which|what) (bin|slot|shelf) "
                "(has|holds) the (fewest|least)"
            ),
            (
                "(name|report|send me|i want|i need) the (bin|slot|place) (with|holding) the "
                "(lowest|smallest|tiniest|min) (stock|count|number)"
            ),
            "(which|what) (bin|slot|shelf|place) (is|looks) (the |)(emptiest)",
            (
                "of all (bins|slots|shelves|places), which (one |)(has|holds) the (lowest|"
                "smallest|tiniest) (stock|count|number)"
            ),
            (
                "(which|what) (bin|slot|shelf) (has|counts|holds) (less than all others|less "
                "than the rest)"
            ),
            (
                "(in|at) (which|what) (slot|bin|spot) (lies|is kept|do we keep) the (lowest|"
                "smallest|tiniest) (lot|pile|amount)"
            ),
            "(take me to|way to|show me|find|point me to) the (emptiest) (bin|slot|shelf)",
        ),
        held_out=("what bin has the smallest quantity", "location with the fewest pieces"),
    ),
    ("most", "quantity"): Phrases(
        "stock-question/most/quantity",
        train=(
            (
                "(what is|whats|give me|) the (highest|largest|biggest|max|maximum|top) "
                "(quantity|stock|count|qty|number|amount)( here| in the table| on the list|)"
            ),
            (
                "how (many|much) (do we have |is there |)of the (biggest|largest|highest|most "
                "stocked) (item|one|stock)"
            ),
            "(max|maximum|highest|largest) (qty|quantity|stock|count|number)",
            "(quantity|count|qty) of the (largest|highest|biggest) (item|one|row|stock)",
            "(highest|largest|biggest)(:|,) how many",
            (
                "(max|maximum|highest|largest|biggest)( =| :|:|/| -|,) (how many|qty|number|"
                "count|pcs)(?|)"
            ),
            "(qty|count|number|figure)(: |=|? | - | >> )(max|highest|largest|biggest|most|most)",
            (
                "(could|can|would) (you|u|someone) (check|see|tell me|look up) how (many|"
                "much) the (highest|largest|biggest) (stock|row|line|lot) (is|has)"
            ),
            (
                "(any idea|do you know|wondering|i wonder) (what|how big|how high) the "
                "(highest|largest|biggest) (number|quantity|stock|count) is"
            ),
            (
                "(name|report|i want|i need) the (highest|largest|biggest|max) "
                "(number|figure|value|count)( of pieces| of units|)"
            ),
            (
                "(how many|how much) (is|are|makes) the (highest|largest|biggest|max) (stock|"
                "quantity|lot|pile|line)"
            ),
            (
                "of all (quantities|counts|numbers|stocks), (what is |whats |)the (highest|"
                "largest|biggest)( one|)"
            ),
            (
                "(how many pieces|how many units|how many) (has|does) the (fullest|highest|"
                "largest|biggest) bin (hold|have|contain)"
            ),
            (
                "the (highest|largest|biggest) (figure|number|count|value)( in stock| of all|"
                ")(?| please|)"
            ),
            "(what|which) (number|count|quantity|figure) is the (highest|largest|biggest)",
        ),
        held_out=("tell me the largest count", "maximum quantity in the table"),
    ),
    ("least", "quantity"): Phrases(
        "stock-question/least/quantity",
        train=(
            (
                "(what is|whats|give me|) the (lowest|smallest|least|min|minimum) "
                "(quantity|stock|count|qty|number|amount)( here| in the table| on the list|)"
            ),
            (
                "how (many|much) (do we have |is there |)of the (smallest|lowest|least stocked) "
                "(item|one|stock)"
            ),
            "(min|minimum|lowest|smallest) (qty|quantity|stock|count|number)",
            "(quantity|count|qty) of the (smallest|lowest) (item|one|row|stock)",
            "(lowest|smallest|least)(:|,) how (many|much)( is it| is left| are left|)",
            (
                "(min|minimum|lowest|smallest|tiniest)( =| :|:|/| -|,) (how many|qty|number|"
                "count|pcs)(?|)"
            ),
            (
                "(qty|count|number|figure)(: |=|? | - | >> )(min|lowest|smallest|tiniest|"
                "fewest|least)"
            ),
            (
                "(could|can|would) (you|u|someone) (check|see|tell me|look up) how (many|"
                "much) the (lowest|smallest|tiniest) (stock|row|line|lot) (is|has)"
            ),
            (
                "(any idea|do you know|wondering|i wonder) (what|how big|how high) the "
                "(lowest|smallest|tiniest) (number|quantity|stock|count) is"
            ),
            (
                "(name|report|i want|i need) the (lowest|smallest|tiniest|min) "
                "(number|figure|value|count)( of pieces| of units|)"
            ),
            (
                "(how many|how much) (is|are|makes) the (lowest|smallest|tiniest|min) (stock|"
                "quantity|lot|pile|line)"
            ),
            (
                "of all (quantities|counts|numbers|stocks), (what is |whats |)the (lowest|"
                "smallest|tiniest)( one|)"
            ),
            (
                "(how many pieces|how many units|how many) (has|does) the (emptiest|lowest|"
                "smallest|tiniest) bin (hold|have|contain)"
            ),
            (
                "the (lowest|smallest|tiniest) (figure|number|count|value)( in stock| of all|"
                ")(?| please|)"
            ),
            "(what|which) (number|count|quantity|figure) is the (lowest|smallest|tiniest)",
        ),
        held_out=("tell me the smallest count", "minimum quantity in the table"),
    ),
}
