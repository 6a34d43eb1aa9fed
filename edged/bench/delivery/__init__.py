"""`edged bench delivery`: the daemon, a real mosquitto and a disk, measured from outside.

Reading order: run (which figure, in which order), then one module for each kind of figure: rates,
upkeep, latency, share; overload, by itself, has its own report. They stand on board (the daemon's
process), broker, device, drained (a plain paho client), disk (a slow one, and what was written),
used (what the kernel tells of a process) and spool_view (what its rows tell). report judges, table
shows.
"""
