"""One of several logits is drawn: top_k, top_p, min_p and temperature, in this order.

In:  logits, a number 0..1.     Out: a place among the logits.
Pure. As if all were sorted; but a vocabulary's width is sorted only where what is drawn needs it:
the heads of the order come first, each longer than the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edged.engine.frames import Sampling

Logits = NDArray[np.float32]
Places = NDArray[np.intp]
COLDEST = 1e-6  # colder is greedy, and would divide a logit into infinity
# How far below the likeliest a head reaches: shares down to 3e-4, 1e-7, 1e-14.
HEADS = (8.0, 16.0, 32.0)


def drawn(logits: Logits, sampling: Sampling, at: float) -> int:
    """Return the place that `at`, uniform in 0..1, draws, as llama.cpp orders the settings.

    Args:
        logits: of any shape (n,); at least one is finite, none is infinite or no number but for
            what may not come, which is minus infinity.
        sampling: temperature over 0.
        at: the share of the probable mass below the drawn one.
    """
    top_k = sampling.top_k if sampling.top_k and sampling.top_k > 0 else None
    for order, is_all in _heads(logits, top_k, max(1.0, sampling.temperature)):
        if is_all:
            return _drawn_of_all(logits, order, sampling, at)
        place = _drawn_of_head(logits, order, sampling, at)
        if place is not None:
            return place
    raise ValueError("no finite logit to draw from")


def mass(logits: Logits, top: float) -> float:
    """Return the sum of exp(logit - top)."""
    return float(np.exp(logits - np.float32(top)).sum(dtype=np.float64))


def _heads(logits: Logits, top_k: int | None, width: float) -> Iterator[tuple[Places, bool]]:
    """Yield the likeliest places, likeliest first, of equals the lower; and whether that is all."""
    top = logits.max()
    for depth in HEADS:
        places = np.flatnonzero(logits >= top - np.float32(depth * width))
        if top_k is None:
            yield _sorted(logits, places), False
        elif len(places) >= top_k:
            yield _sorted(logits, _likeliest(logits, places, top_k))[:top_k], True
            return
    places = _sorted(logits, np.flatnonzero(np.isfinite(logits)))
    yield places[:top_k], True


def _likeliest(logits: Logits, places: Places, count: int) -> Places:
    """Return at least the likeliest so many, in the order that they have."""
    values = logits[places]
    least = np.partition(values, len(values) - count)[len(values) - count]
    found: Places = places[values >= least]
    return found


def _sorted(logits: Logits, places: Places) -> Places:
    order: Places = places[np.argsort(-logits[places], kind="stable")]
    return order


def _drawn_of_all(logits: Logits, order: Places, sampling: Sampling, at: float) -> int:
    kept = order[_kept(_softmax(logits[order]), sampling)]
    return _picked(kept, np.cumsum(_softmax(_warmed(logits[kept], sampling))), at)


def _drawn_of_head(logits: Logits, order: Places, sampling: Sampling, at: float) -> int | None:
    """Return what is drawn where this head tells it; None where more of the order must be seen."""
    top = float(logits[order[0]])
    shares = np.exp(logits[order].astype(np.float64) - top) / mass(logits, top)
    keep = _kept(shares, sampling)
    if not keep[-1]:  # shares fall, so nothing behind the head is kept either
        kept = order[keep]
        return _picked(kept, np.cumsum(_softmax(_warmed(logits[kept], sampling))), at)
    if sampling.top_p < 1 or sampling.min_p > 0:
        return None
    warm, whole = _warmed(logits[order], sampling), _warmed(logits, sampling)
    edges = np.cumsum(np.exp(warm - warm[0])) / float(np.exp(whole - warm[0]).sum())
    return _picked(order, edges, at) if at < edges[-1] else None


def _kept(shares: NDArray[np.float64], sampling: Sampling) -> NDArray[np.bool_]:
    keep: NDArray[np.bool_] = shares >= sampling.min_p * shares[0]
    if sampling.top_p < 1:  # else rounding would cut a tail that a high temperature makes probable
        keep &= np.cumsum(shares) - shares < sampling.top_p
    keep[0] = True
    return keep


def _picked(order: Places, edges: NDArray[np.float64], at: float) -> int:
    place = int(np.searchsorted(edges, at, side="right"))
    return int(order[min(place, len(order) - 1)])


def _warmed(logits: Logits, sampling: Sampling) -> NDArray[np.float64]:
    return logits.astype(np.float64) / max(sampling.temperature, COLDEST)


def _softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.exp(logits.astype(np.float64) - float(logits.max()))
    return shares / float(shares.sum())
