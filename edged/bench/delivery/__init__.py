"""`edged bench delivery`: the daemon, a real mosquitto and a disk, measured from outside.

Reading order: run (which figure, in which order), then one module for each kind of figure: rates,
upkeep, latency, share. They stand on board (the daemon's process), broker, device, drained (a
plain paho client), disk (a slow one, and what was written) and spool_view (what its rows tell).
report judges, table shows.
"""
