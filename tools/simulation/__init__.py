"""The whole daemon in virtual time, from one seed: faults of every kind, and an outside observer.

Reading order: `seeds` (the command), `world` (one seed, start to end), `trouble` (what goes wrong),
`devices` (who asks), `observer` (what is checked), then what stands in for the outside: `loop`
(time), `broker` and `wire` (MQTT), `link` (the network), `engine` and `processes`, `clocks`,
`disk`, `meter`.
"""
