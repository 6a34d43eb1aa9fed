"""Entry point: runs the command line and turns errors into sentences and exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from edged import cli
from edged.errors import (
    EXIT_BUG,
    EXIT_CONFIG,
    EXIT_ENGINE_UNUSABLE,
    EXIT_SPOOL_DAMAGED,
    ConfigError,
    EdgedError,
    EngineUnusable,
    SpoolDamaged,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `edged` with these arguments, else the process's; return the exit code."""
    try:
        return cli.run(sys.argv[1:] if arguments is None else arguments)
    except ConfigError as error:
        return _said(error, EXIT_CONFIG)
    except EngineUnusable as error:
        return _said(error, EXIT_ENGINE_UNUSABLE)
    except SpoolDamaged as error:
        return _said(error, EXIT_SPOOL_DAMAGED)
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
