"""Benchmarks: what edged does with the machine, beside its peers, on the same work."""
