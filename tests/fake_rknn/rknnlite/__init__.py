"""A stand-in for rknn-toolkit-lite2 2.5.0: its names, return codes and exceptions."""
