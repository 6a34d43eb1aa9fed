"""edged: a resident 4-bit model answers MQTT prompts offline, within a power budget."""

__version__ = "0.1.0"
