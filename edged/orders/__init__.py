"""Orders of the people who run the board: budgets, pauses, drains, bundles.

Reading order: kept (orders by whom and for how long, over restarts), budgets (which of several
budgets is in force), helm (carries orders out and ends them in time), command_topics (orders over
MQTT, in words), remote (takes them, where the configuration allows it).
"""
