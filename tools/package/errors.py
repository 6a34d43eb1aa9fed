"""What keeps a package from being built."""

from __future__ import annotations


class PackageError(Exception):
    """The package cannot be built; the text says what, why, and what to do."""
