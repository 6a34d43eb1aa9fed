"""The clock caps of a real board: found, written, read back, saved and restored."""
