"""Builds a folder of wheels for another machine: `tools/build-wheelhouse`.

Read in this order: `targets` (for whom), `cli` (the whole way), `wheels` (what lies in the folder
and what it still lacks), `build` (compiling), `listing` (digests for pip and for people).
"""
