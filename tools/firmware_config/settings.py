"""Changes settings in files that belong to the system, and takes the changes back.

In: a file's text.  Out: its new text; nothing here reads or writes files.
The files: U-Boot's environment of Armbian (`key=word word`), and files that a shell reads
(`KEY="word word"`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tools.firmware_config.errors import Refusal

BEGIN = "# edged: begin. Written by tools/install-firmware-config, which also removes it."
END = "# edged: end"


def words_of(text: str, key: str) -> list[str]:
    """Return the words of a key; of several lines the last one counts, as for who reads it.

    Raises:
        Refusal: a line sets the key in a way that is not read here.
    """
    found = list(_line(key).finditer(text))
    for line in re.findall(rf"^{re.escape(key)}=.*$", text, re.M)[len(found) :]:
        raise Refusal(f'cannot read this line; write it as {key}="word word": {line}')
    return found[-1]["words"].split() if found else []


def with_words(text: str, key: str, words: Sequence[str]) -> str:
    """Return the text with these words among those of the key, each once, at the end."""
    now = words_of(text, key)
    missing = [word for word in words if word not in now]
    return _replaced(text, key, [*now, *missing]) if missing else text


def without_words(text: str, key: str, words: Sequence[str]) -> str:
    """Return the text without these words; a line that is left without any goes too."""
    now = words_of(text, key)
    kept = [word for word in now if word not in words]
    return text if kept == now else _replaced(text, key, kept)


def with_block(text: str, lines: str) -> str:
    """Return the text with our block at its end, where it overrules what stands before it."""
    rest = without_block(text)
    gap = "" if rest.endswith("\n") or not rest else "\n"
    return f"{rest}{gap}{BEGIN}\n{lines.rstrip()}\n{END}\n"


def without_block(text: str) -> str:
    """Return the text without our block."""
    return re.sub(rf"^{re.escape(BEGIN)}\n.*?^{re.escape(END)}\n", "", text, flags=re.M | re.S)


def _line(key: str) -> re.Pattern[str]:
    value = r"(?P<quote>[\"']?)(?P<words>[^\"'\n]*?)(?P=quote)"
    return re.compile(rf"^{re.escape(key)}={value}[ \t]*$", re.M)


def _replaced(text: str, key: str, words: Sequence[str]) -> str:
    found = list(_line(key).finditer(text))
    if not found:
        gap = "" if text.endswith("\n") or not text else "\n"
        return f"{text}{gap}{key}={' '.join(words)}\n"
    last = found[-1]
    quote = last["quote"]
    line = f"{key}={quote}{' '.join(words)}{quote}\n" if words else ""
    return text[: last.start()] + line + text[last.end() :].removeprefix("\n")
