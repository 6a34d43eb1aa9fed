"""How long a board takes from `apt install` to its first answer, in a fresh booted Debian.

In: a package.  Out: seconds, on the terminal. No network is there; the broker runs already.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.booted_debian import answered, machine, wait_online

INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"


def main(package: Path) -> int:
    """Install and ask; return 0 where there was an answer."""
    with (
        tempfile.TemporaryDirectory() as folder,
        machine(Path(folder), {Path("/packages"): package.resolve().parent}) as one,
    ):
        one.shell("systemctl start mosquitto.service")
        began_s = time.monotonic()
        one.shell(f"{INSTALL} /packages/{package.name}")
        installed_s = time.monotonic() - began_s
        wait_online(one)
        event = answered(one, "first")
        answered_s = time.monotonic() - began_s
    print(f"{package.name}: installed after {installed_s:.1f} s, {event} after {answered_s:.1f} s")
    return 0 if event == "done" else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
