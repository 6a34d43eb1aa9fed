"""Secrets that systemd hands to a unit: `credential:NAME` in the place of a path.

In:  a path of the configuration.     Out: the file to read.
The unit reads them from a folder that is its own, in memory that is not swapped; no file that
edged's user could read lies on the disk.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

PREFIX = "credential:"
# Source: systemd.exec(5), LoadCredential=.
FOLDER = "CREDENTIALS_DIRECTORY"
# Source: systemd.exec(5), LoadCredential=: a file name, in ASCII.
_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,255}")


def name_of(path: Path) -> str | None:
    """Return the name of the credential that a path stands for; None for a plain path."""
    text = str(path)
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else None


def checked(path: Path) -> Path:
    """Return the path.

    Raises:
        ValueError: it names a credential that cannot exist.
    """
    name = name_of(path)
    if name is not None and _NAME.fullmatch(name) is None:
        raise ValueError(f"{PREFIX} wants a name of letters, digits, _, . and - behind it")
    return path


def is_out_of_reach(path: Path | None) -> bool:
    """Return whether a path names a credential, and no unit runs this process."""
    return path is not None and name_of(path) is not None and FOLDER not in os.environ


def located(path: Path) -> Path:
    """Return the file that a path of the configuration means.

    Raises:
        FileNotFoundError: it names a credential, and no unit runs this process.
    """
    name = name_of(path)
    if name is None:
        return path
    if is_out_of_reach(path):
        raise FileNotFoundError(
            f"only a unit of systemd has credentials, and ${FOLDER} is not set here; in a shell "
            "name a file"
        )
    return Path(os.environ[FOLDER]) / name
