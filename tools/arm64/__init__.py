"""Tries edged on aarch64 code on any Debian: `tools/test-arm64`. Standard library only.

Read in this order: `cli` (what is done, one step after another), `guide` (the commands of
docs/boards.md), `machine` (where they run), `emulation` and `debian` (what that stands on),
`units`, `services` and `readiness` (what systemd would do there), `steps` and `selection` (what is
tried), `kept` and `summary` (what came of it).
"""
