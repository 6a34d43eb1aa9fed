"""The command line of tools/build-npu-backend.

In:  where the backend's tree and its runtime lie.     Out: a library with a sidecar, or a sentence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.npu_backend.build import build
from tools.npu_backend.package import ROOT, Refusal, ggml_of_package


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        library = build(options.source, options.rknn_dir, ggml_of_package(), options.to)
    except Refusal as refusal:
        print(f"build-npu-backend: {refusal}", file=sys.stderr)
        return 1
    print(f'{library}\n\n[npu]\nlibrary = "{library}"')
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/build-npu-backend", description=__doc__)
    parser.add_argument("source", type=Path, help="the backend's tree, or its folder of .cpp files")
    parser.add_argument("rknn_dir", type=Path, help="headers and libraries that it links to")
    parser.add_argument(
        "--to", type=Path, default=ROOT / "build/npu-backend", help="folder for the library"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
