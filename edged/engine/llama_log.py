"""llama.cpp's log lines become Python's, and its last errors can be quoted.

In:  lines from any of llama.cpp's threads.     Out: the `llama.cpp` logger.
A callback that Python has freed would crash the process, so `close` puts one in that never is.
"""

from __future__ import annotations

import logging
from collections import deque

import llama_cpp

log = logging.getLogger("llama.cpp")

# Source: ggml.h of llama.cpp 0c1e57098, enum ggml_log_level.
_ERROR = 4


class LlamaLog:
    """Takes llama.cpp's log until `close`."""

    def __init__(self) -> None:
        self._errors: deque[str] = deque(maxlen=3)
        self._callback = llama_cpp.llama_log_callback(self._take)
        llama_cpp.llama_log_set(self._callback, None)

    def last_words(self) -> str:
        """Return the last errors as one line."""
        return "; ".join(self._errors) or "it gave no reason"

    def close(self) -> None:
        """Let go of the log; later lines are dropped."""
        llama_cpp.llama_log_set(_DROP, None)

    def _take(self, level: int, text: bytes, _: object) -> None:
        line = text.decode("utf-8", "replace").strip()
        if not line:
            return
        if level == _ERROR:
            self._errors.append(line)
        # Its warnings are notes on the file; what it calls info is a page per load.
        log.log(logging.ERROR if level == _ERROR else logging.DEBUG, line)


_DROP = llama_cpp.llama_log_callback(lambda level, text, data: None)
