"""The shortest scalars of a schema node, where they can be told without a search.

In:  a plain node of schema_choice.py.     Out: JSON texts. Pure.
"""

from __future__ import annotations

from edged.engine.schema import SHORTEST_BYTES_MAX, types_of
from edged.engine.schema_choice import Node
from edged.engine.schema_size import compact

# The shortest dates that a search finds are of the year 0, which many readers refuse.
_FORMATS = {"date": b'"1970-01-01"', "date-time": b'"1970-01-01T00:00:00Z"'}
FILLER = b" "


def texts(node: Node) -> list[bytes] | None:
    """Return the shortest scalars of a node, shortest first; None when a search must find them."""
    if "const" in node or "enum" in node:
        values = [node["const"]] if "const" in node else node["enum"]
        scalars = [compact(value) for value in values if not isinstance(value, dict | list)]
        return sorted((text.encode() for text in scalars), key=len)
    if "type" not in node:
        return None
    found = [_of_type(kind, node) for kind in types_of(node)]
    if None in found:
        return None
    return sorted((text for text in found if text), key=len)


def _of_type(kind: str, node: Node) -> bytes | None:
    """Return the shortest text; empty where it is no scalar."""
    if kind in ("object", "array"):
        return b""
    if kind == "string":
        return _string(node)
    if kind in ("number", "integer"):
        return b"0" if _has_zero(node) else None
    return b"true" if kind == "boolean" else b"null"


def _string(node: Node) -> bytes | None:
    if "pattern" in node:
        return None
    if "format" in node:
        return _FORMATS.get(node["format"])
    least = int(node.get("minLength", 0))
    return b'"' + FILLER * least + b'"' if least <= SHORTEST_BYTES_MAX else None


def _has_zero(node: Node) -> bool:
    low, high = node.get("minimum", 0), node.get("maximum", 0)
    above, below = node.get("exclusiveMinimum", -1), node.get("exclusiveMaximum", 1)
    return bool(low <= 0 <= high and above < 0 < below)
