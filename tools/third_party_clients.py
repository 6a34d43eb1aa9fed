"""Makes sure of the MQTT clients that the tests take from elsewhere: MQTT.js's command, and gmqtt.

In: this machine, its npm and pip.  Out: where they are; each is installed into a folder of .venv,
never for the whole machine. gmqtt is not one of our packages: its own brings a top-level package
`tests` along. What cannot be had is said, and the tests that want it are skipped. Standard library
only.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tools.broker_programs import ROOT

NPM, GMQTT = ROOT / ".venv" / "npm", ROOT / ".venv" / "gmqtt"
# The version that the tests were written with; its command line is its own.
MQTT_JS = "mqtt@5.16.0"
GMQTT_PACKAGE = "gmqtt==0.8.0"
INSTALL_S = 180


def mqtt_command(folder: Path = NPM) -> Path | None:
    """Return MQTT.js's command, or None where it was not installed or Node.js is gone."""
    command = folder / "node_modules" / ".bin" / "mqtt"
    return command if command.exists() and shutil.which("node") else None


def gmqtt_folder(folder: Path = GMQTT) -> Path | None:
    """Return the folder to import gmqtt from, or None where it was not installed."""
    return folder if (folder / "gmqtt").exists() else None


def install(name: str, command: list[str]) -> None:
    """Install a client; where that fails, say so."""
    print(f"{name}: installing into .venv", flush=True)
    try:
        subprocess.run(command, check=True, timeout=INSTALL_S)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{name}: {error}; the tests that need it are skipped", file=sys.stderr)


def main() -> int:
    """Install what is missing."""
    if mqtt_command() is None:
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        install("MQTT.js", ["npm", "install", "--prefix", str(NPM), *options, MQTT_JS])
    if gmqtt_folder() is None:
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
        install("gmqtt", [*pip, "--no-deps", "--target", str(GMQTT), GMQTT_PACKAGE])
    return 0


if __name__ == "__main__":
    sys.exit(main())
