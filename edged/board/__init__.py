"""The board: what this machine tells of itself."""
