"""`edged` of another protocol: `python -m tests.other_protocol VERSION engine --config FILE`.

In:  a version, the words of `edged`.     Out: the real process, which says that version in its
`Hello` and, as a newer one might, a field in each frame and a frame after it that nobody knows.
"""

from __future__ import annotations

import json
import sys

from edged.engine import protocol


def main() -> int:
    """Run `edged` with the words behind the version."""
    protocol.PROTOCOL_VERSION = int(sys.argv.pop(1))
    # Only now: who imports the version by name has it from then on.
    from edged.__main__ import main as edged_main
    from edged.engine import outlet
    from edged.engine.frames import LENGTH, Frame, encode

    def of_another(frame: Frame) -> bytes:
        body = json.loads(encode(frame)[LENGTH.size :]) | {"mood": {"of": ["late", 7]}}
        said = [json.dumps(one).encode() for one in (body, {"kind": "weather", "sky": "blue"})]
        return b"".join(LENGTH.pack(len(one)) + one for one in said)

    outlet.encode = of_another  # type: ignore[attr-defined] # a name that outlet imported
    return edged_main()


if __name__ == "__main__":
    sys.exit(main())
