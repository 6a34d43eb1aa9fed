"""Entry point: runs the command line and turns errors into sentences and exit codes."""

from __future__ import annotations

import logging
import sys

from edged import cli
from edged.errors import (
    EXIT_BUG,
    EXIT_CONFIG,
    EXIT_ENGINE_UNUSABLE,
    ConfigError,
    EdgedError,
    EngineUnusable,
)


def main() -> int:
    """Run `edged`; return the exit code."""
    try:
        return cli.run(sys.argv[1:])
    except ConfigError as error:
        return _said(error, EXIT_CONFIG)
    except EngineUnusable as error:
        return _said(error, EXIT_ENGINE_UNUSABLE)
    except EdgedError as error:
        return _said(error, 1)
    except KeyboardInterrupt:
        return 130
    except Exception:
        logging.getLogger("edged").exception("bug: please report what stands below")
        return EXIT_BUG


def _said(error: EdgedError, code: int) -> int:
    print(f"edged: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
