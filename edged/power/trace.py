"""Energy over time as a line of cumulative joules: what the ledger and the forecast are kept in.

In:  stretches of constant watts, in order.     Out: joules up to any moment.
Pure; time is whatever monotonic seconds the caller uses.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

# Trimming a list costs its length: it is done when so many entries have become old.
TRIM_ENTRIES = 256


class Trace:
    """Cumulative joules; before the start `before_w` watts are taken to have been drawn."""

    __slots__ = ("_before_w", "_joules", "_times_s")

    def __init__(self, start_s: float, before_w: float) -> None:
        self._times_s = [start_s]
        self._joules = [0.0]
        self._before_w = before_w

    @property
    def end_s(self) -> float:
        """Return up to when the trace is known."""
        return self._times_s[-1]

    @property
    def end_j(self) -> float:
        """Return the joules up to its end."""
        return self._joules[-1]

    def extend(self, until_s: float, power_w: float) -> None:
        """Draw `power_w` from the end until `until_s`; a moment that is not later adds nothing."""
        length_s = until_s - self._times_s[-1]
        if length_s > 0:
            self._times_s.append(until_s)
            self._joules.append(self._joules[-1] + power_w * length_s)

    def extend_like(self, shape: Trace, until_s: float, drawn_j: float) -> None:
        """Draw so many joules from the end until `until_s`, spread over the time as `shape` does.

        A mean of 0.14 s says nothing of when in it a step began; whoever ran the step knows.
        """
        start_s, base_j = self._times_s[-1], self._joules[-1]
        shape_j = shape.joules_at(start_s)
        span_j = shape.joules_at(until_s) - shape_j
        if until_s <= start_s:
            return
        if span_j > 0:
            first, last = (
                bisect_right(shape._times_s, start_s),
                bisect_left(shape._times_s, until_s),
            )
            self._times_s += shape._times_s[first:last]
            scale = drawn_j / span_j
            self._joules += [base_j + scale * (j - shape_j) for j in shape._joules[first:last]]
        self._times_s.append(until_s)
        self._joules.append(base_j + drawn_j)

    def joules_at(self, time_s: float) -> float:
        """Return the joules drawn up to `time_s`; behind the end nothing was drawn."""
        times_s = self._times_s
        if time_s >= times_s[-1]:
            return self._joules[-1]
        place = bisect_right(times_s, time_s)
        if place == 0:
            return self._joules[0] - (times_s[0] - time_s) * self._before_w
        start_s, start_j = times_s[place - 1], self._joules[place - 1]
        share = (time_s - start_s) / (times_s[place] - start_s)
        return start_j + share * (self._joules[place] - start_j)

    def forget(self, before_s: float) -> None:
        """Drop entries that no question after `before_s` needs."""
        place = bisect_right(self._times_s, before_s) - 1
        if place >= TRIM_ENTRIES:
            del self._times_s[:place]
            del self._joules[:place]
