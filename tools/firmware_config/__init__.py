"""Puts firmware-config/ onto a board: what `tools/install-firmware-config` does.

In: a board's name and the root of its system.  Out: files written there, or a refusal in words.
Standard library only: it runs with the system's own python3, before edged is set up. What is to be
changed is decided without touching anything (`plan`), and written by `record` alone.
"""
