"""Control of real compute: edged's engine behind a referee that makes watts of its CPU seconds."""

LABEL = (
    "control of real compute: CPU seconds of the engine through a hidden plant; no board's watts"
)
