"""The one error of the installer."""

from __future__ import annotations


class Refusal(Exception):
    """Nothing was changed; the text says what is wrong, why, and what to do."""
