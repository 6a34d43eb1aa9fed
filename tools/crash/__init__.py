"""Crashes on purpose, and an outside client's books of what became of each prompt.

Reading order: books (what the client heard), observer (the client), house (the processes),
faults (what is done to them), engine_tap and evidence (what the client cannot hear), soak (rounds
of it all, `tools/soak`).
"""
