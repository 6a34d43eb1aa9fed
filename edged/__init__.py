"""edged: a resident 4-bit model answers MQTT prompts offline, within a power budget."""

import os

# No plug-in of pydantic has a part in edged; to look for some it would read all that is installed.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

__version__ = "0.1.0"
