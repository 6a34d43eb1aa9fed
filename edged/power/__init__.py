"""Power: meters that say watts and joules, and the limits that follow from them."""
