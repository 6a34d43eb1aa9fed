"""Which package this is: its name, version and architecture, as Debian writes them.

In: a target, edged's version.  Out: a `Release`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from packaging.version import Version

from tools.wheelhouse.targets import Target

# A board gets the package that its processor can run, and apt must not take the other for a newer
# one. So each kind of processor of one architecture has a name of its own.
NAMES = {"amd64": "edged", "arm64": "edged", "arm64-v8.0": "edged-armv8.0"}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MAINTAINER = "The authors of edged <edged@edged.invalid>"


@dataclass(frozen=True, slots=True)
class Release:
    """A package before it is built.

    Attributes:
        name: as dpkg knows it.
        version: with Debian's revision.
        architecture: as dpkg knows it.
        epoch_s: s since 1970; the time of every file.
    """

    name: str
    version: str
    architecture: str
    epoch_s: int

    @property
    def file_name(self) -> str:
        """What Debian calls the file."""
        return f"{self.name}_{self.version}_{self.architecture}.deb"

    @property
    def others(self) -> tuple[str, ...]:
        """The other names of edged, of which a board has one."""
        return tuple(sorted({*NAMES.values()} - {self.name}))

    def changelog(self) -> str:
        """Return Debian's change log, which leads to edged's own."""
        date = format_datetime(datetime.fromtimestamp(self.epoch_s, UTC))
        return (
            f"{self.name} ({self.version}) unstable; urgency=medium\n\n"
            "  * What changed is in /usr/share/doc/edged/CHANGELOG.md.\n\n"
            f" -- {MAINTAINER}  {date}\n"
        )


def release_of(target: Target, version: Version, revision: int, epoch_s: int) -> Release:
    """Return the package of a target."""
    debian = f"{debian_version(version)}-{revision}"
    return Release(NAMES[target.name], debian, ARCHITECTURES[target.machine], epoch_s)


def debian_version(version: Version) -> str:
    """Return a version so that dpkg sorts it as Python does: 1.0rc1 before 1.0.

    Source: deb-version(7): a tilde sorts before everything, also before the end.
    """
    early = re.sub(r"\.dev(?=\d)", "~~dev", str(version))
    return re.sub(r"(?<=\d)(a|b|rc)(?=\d)", r"~\1", early)
