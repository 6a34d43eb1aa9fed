"""What is there on this board, what is missing, and the command that mends it: `edged doctor`.

Each check is a module: a frozen table of what was seen, `look`, and `judge`, which decides
and touches nothing.
"""
