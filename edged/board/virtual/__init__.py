"""The virtual board: a plant model of RK3588 and RK3576 in virtual time, deterministic by seed.

Whatever it shows is simulated and labelled `virtual board`. It reads no clock, no file, no device.
"""

LABEL = "virtual board"
