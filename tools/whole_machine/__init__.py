"""A whole machine whose power is cut: Debian with systemd, mosquitto and edged, in QEMU.

Reading order: volatile_disk (a disk that loses what was not flushed), image (what is on it),
machine (QEMU), check (what the host finds on a disk), power_cut (cuts and counts of it all,
`tools/power_cut`).
"""
