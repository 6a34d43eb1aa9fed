"""`edged top`: from words of the command line to the screen.

In:  the configuration, a node's name.     Out: the screen, until somebody leaves it.
"""

from __future__ import annotations

import importlib.util
import sys

from edged.config import Config
from edged.errors import EdgedError
from edged.top.feed import Feed
from edged.topics import Topics


def top(config: Config, node: str | None) -> int:
    """Show a board of the site.

    Raises:
        EdgedError: the extra `top` is not installed, or this is no terminal.
    """
    if importlib.util.find_spec("textual_plotext") is None:
        raise EdgedError("edged top wants the extra `top`: pip install 'edged[top]'")
    if not sys.stdout.isatty():
        raise EdgedError("edged top wants a terminal; for machines: edged status --json")
    from edged.top.view import Top

    Top(Feed(config.broker, Topics(config.node.site, node or config.node.name))).run()
    return 0
