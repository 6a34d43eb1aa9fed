"""Fuzzing of everything that reads what others wrote: `python -m tools.fuzz --inputs N`.

Reading order: target (what a target is), mutate (how inputs are made), prompts, frames, answers,
files and spool (the targets), daemon (whole prompts through a real broker and daemon), __main__
(runs and counts).
The seeds lie in tests/fuzz_seeds; tests/test_fuzz.py runs some inputs of each target.
"""
