"""Under which licences the package's parts stand, as Debian wants it told.

In: wheels.  Out: the text of /usr/share/doc/edged/copyright. The full texts come with the wheels.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from email.message import Message
from email.parser import HeaderParser

from tools.wheelhouse.wheels import Wheel

HEAD = """\
edged: copyright by the authors of edged.
License: Apache-2.0. On Debian systems its text is in /usr/share/common-licenses/Apache-2.0.

The package also holds the Python packages that edged runs on, as their authors published them.
Their copyrights and their licences in full are below /usr/lib/edged, in each folder NAME.dist-info.

"""
UNKNOWN = "see its folder"


def copyright_text(wheels: Sequence[Wheel]) -> str:
    """Return the file: edged's licence, then a line for each other package."""
    return HEAD + "".join(sorted(_line(one) for one in wheels if one.name != "edged"))


def _line(wheel: Wheel) -> str:
    headers = _headers(wheel)
    licence = headers["License-Expression"] or _classified(headers) or _first_line(headers)
    return f"{headers['Name']} {wheel.version}: {licence or UNKNOWN}\n"


def _headers(wheel: Wheel) -> Message:
    with zipfile.ZipFile(wheel.path) as archive:
        (metadata,) = (
            name
            for name in archive.namelist()
            if name.endswith(".dist-info/METADATA") and name.count("/") == 1
        )
        return HeaderParser().parsestr(archive.read(metadata).decode("utf-8"))


def _classified(headers: Message) -> str:
    lines = [str(line) for line in headers.get_all("Classifier", [])]
    return ", ".join(line.rpartition(" :: ")[2] for line in lines if line.startswith("License ::"))


def _first_line(headers: Message) -> str:
    return str(headers["License"] or "").strip().split("\n")[0]
