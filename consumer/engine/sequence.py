# SPDX-License-Identifier: Apache-2.0
"""Which batches of one agent were taken: repeats are dropped, gaps are exact numbers of events.

One ``Stream`` for each (host, boot, epoch, shard). It keeps at most ``MAX_RANGES`` ranges of sequence
numbers; when there would be more, the lowest hole is closed: its events move from ``gap`` to ``squeezed`` and
a batch that still comes for it counts as a duplicate.

What a run numbered before the lowest batch taken is a gap where all batches of it were there to be read; else
it is ``earlier``, which is no loss of this lake. A batch that still comes for it is taken like any other.

At any time: events of the stream = stored + gap + squeezed + earlier, each a plain sum over the rows given.
"""

from bisect import bisect_right

MAX_RANGES = 64


class Stream:
    """The batches of one agent run in one shard; ``whole``: every one of them was there to be read."""

    __slots__ = ("earlier", "gap", "highs", "lows", "stored", "top", "whole")

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self.lows: list[tuple[int, int]] = []
        """(sequence, events before) at the begin of each range, ascending."""
        self.highs: list[tuple[int, int]] = []
        """(sequence, events before) one behind the end of each range."""
        self.stored = 0
        """Events taken, and events squeezed out."""
        self.top = 0
        """Most events known of: those before a batch and in it."""
        self.gap = 0
        """Events that never came (so far)."""
        self.earlier = 0
        """Events before the lowest batch that came, where there may have been nothing to come."""

    def knows(self, sequence: int) -> bool:
        """Say whether a batch was taken before (or lies in a hole that was given up)."""
        at = bisect_right(self.lows, (sequence, 1 << 64)) - 1
        return at >= 0 and sequence < self.highs[at][0]

    def take(self, sequence: int, cumulative: int, events: int) -> dict[str, int]:
        """Take a batch that is not known: returns ledger reason -> events to add."""
        self._insert((sequence, cumulative), (sequence + 1, cumulative + events))
        self.stored += events
        self.top = max(self.top, cumulative + events)
        squeezed = self._squeeze() if len(self.lows) > MAX_RANGES else 0
        self.stored += squeezed
        before = self.gap, self.earlier
        self.earlier = 0 if self.whole else self.lows[0][1]
        self.gap = self.top - self.stored - self.earlier
        changes = {"gap": self.gap - before[0], "earlier": self.earlier - before[1]}
        return {"stored": events, "squeezed": squeezed, **changes}

    def _insert(self, low: tuple[int, int], high: tuple[int, int]) -> None:
        at = bisect_right(self.lows, low)
        joins_before = at > 0 and self.highs[at - 1][0] == low[0]
        joins_after = at < len(self.lows) and self.lows[at][0] == high[0]
        if joins_before and joins_after:
            del self.lows[at]
            del self.highs[at - 1]
        elif joins_before:
            self.highs[at - 1] = high
        elif joins_after:
            self.lows[at] = low
        else:
            self.lows.insert(at, low)
            self.highs.insert(at, high)

    def _squeeze(self) -> int:
        hole = self.lows[1][1] - self.highs[0][1]
        del self.lows[1]
        del self.highs[0]
        return hole
