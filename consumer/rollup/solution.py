# SPDX-License-Identifier: Apache-2.0
"""Rows of kind ``clock_solution``: what was found out of each two clocks that talked. Pure."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from consumer.latency.clock.line import F64
from consumer.latency.clock.pair import Pair
from consumer.latency.intervals import I64, Bools
from consumer.rollup.inputs import Clock, Heard, Inputs
from consumer.rollup.together import Together, View
from schemas.clock import BOUNDED, INFEASIBLE, UNSYNCED
from schemas.tables import KINDS


class Window(NamedTuple):
    """Of CLOCK_REALTIME, ns."""

    begin_ns: int
    window_ns: int


def table(window: Window, given: Inputs, pairs: dict[tuple[int, int], Pair], together: Together) -> pa.Table:
    """Return a row for each two clocks with messages between them, the first before the second by name."""
    shown: dict[tuple[int, int], _Shown] = {}
    rows = []
    for a, b in sorted({(min(who), max(who)) for who in given.heard}):
        there, back = given.heard.get((a, b)), given.heard.get((b, a))
        view = together.view(a, b)
        for number, at in ((a, view.a), (b, view.b)):
            if (id(view.fleet), number) not in shown:
                shown[id(view.fleet), number] = _Shown.of(given.clocks[number], view.fleet.shown[at])
        showing = (shown[id(view.fleet), a], shown[id(view.fleet), b])
        rows.append(
            {
                "window_start_ns": window.begin_ns,
                "window_ns": window.window_ns,
                "first_host": given.clocks[a].host,
                "first_boot": given.clocks[a].boot,
                "second_host": given.clocks[b].host,
                "second_boot": given.clocks[b].boot,
                "messages_there": _within(there, window),
                "messages_back": _within(back, window),
                **_told(window, view, pairs.get((a, b)), showing),
            }
        )
    schema = KINDS["clock_solution"]
    columns = {name: [row[name] for row in rows] for name in schema.names}
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in schema.names})


def _within(heard: Heard | None, window: Window) -> int:
    if heard is None:
        return 0
    return int(np.count_nonzero((heard.sent >= 0) & (heard.sent < window.window_ns)))


class _Shown(NamedTuple):
    """What one clock shows at the common times, (q + 1,)."""

    monotonic: I64
    loose: F64
    """(q + 1,) how far off the straight line its CLOCK_MONOTONIC may be there, or within a stretch beside."""

    @classmethod
    def of(cls, clock: Clock, time: F64) -> "_Shown":
        monotonic = clock.monotonic(time)
        _, unsure = clock.times(monotonic)
        bends = np.zeros(time.size - 1)
        if clock.readings is not None:
            at, offset = clock.times(clock.readings.monotonic)[0], clock.readings.raw_offset
            inside = (at > time[0]) & (at < time[-1])
            straight = np.interp(at[inside], time, (time + clock.base - monotonic).astype(np.float64))
            stretch = np.searchsorted(time, at[inside], side="right") - 1
            np.maximum.at(bends, stretch, np.abs(offset[inside] - straight))
        return cls(monotonic, unsure + _beside(bends))


def _beside(stretches: F64) -> F64:
    """Return (q + 1,) the greater of what holds before and after each time; `stretches` is (q,)."""
    return np.maximum(np.concatenate((stretches[:1], stretches)), np.concatenate((stretches, stretches[-1:])))


def _told(window: Window, view: View, pair: Pair | None, shown: tuple[_Shown, _Shown]) -> dict[str, Any]:
    fleet, a, b = view
    bad = fleet.contradicted[a, b]
    high, low = (np.where(bad, np.inf, fleet.ahead[way]) for way in ((a, b), (b, a)))
    time = fleet.shown[a]
    inside = (time[:-1] < window.window_ns) & (time[1:] > 0)
    stretches = np.isfinite(high) & np.isfinite(low)
    known = _known(stretches)
    bounded = bool((known[:-1] & known[1:])[inside].any())
    contradictory = pair is not None and (not pair.pieces or bool(bad[inside].any()))
    offset = shown[1].monotonic - shown[0].monotonic
    loose = shown[0].loose + shown[1].loose
    beyond, short = (np.ceil(_beside(np.where(stretches, side, 0.0)) + loose) for side in (high, low))
    return {
        "status": BOUNDED if bounded else INFEASIBLE if contradictory else UNSYNCED,
        "times": shown[0].monotonic.tolist(),
        "low_offsets": _nullable(offset - np.where(known, short, 0).astype(np.int64), known),
        "offsets": _nullable(offset, known),
        "high_offsets": _nullable(offset + np.where(known, beyond, 0).astype(np.int64), known),
        "skew_ppb": _skew(window, pair),
        **_changes(window, pair),
    }


def _known(stretches: Bools) -> Bools:
    """Return (q + 1,) at which times to say what is known: two neighbours where it is of all between them.

    `stretches` is (q,). Beside a single one of which nothing is known a time is given up.
    """
    before, behind = np.concatenate(([False], stretches)), np.append(stretches, False)
    known: Bools = before | behind
    known[:-1] &= stretches | ~(before[:-1] & behind[1:])
    return known


def _nullable(values: I64, known: Any) -> list[int | None]:  # noqa: ANN401 - (n,) bools
    return [value if good else None for value, good in zip(values.tolist(), known.tolist(), strict=True)]


def _skew(window: Window, pair: Pair | None) -> int | None:
    """Return how much faster the second clock runs, in the piece that has most of the window."""
    if pair is None or not pair.pieces:
        return None
    most = max(pair.pieces, key=lambda piece: min(piece.end, window.window_ns) - max(piece.begin, 0))
    return round(most.line.slope * 1e9)


def _changes(window: Window, pair: Pair | None) -> dict[str, int]:
    """Return how often the clocks changed against one another within the window, and by how much at most."""
    found = [
        change
        for change in (pair.changes if pair is not None else [])
        if change.before >= 0 and change.after < window.window_ns
    ]
    jumps = [abs(change.jump) for change in found if change.step]
    return {"steps": len(found), "largest_step_ns": round(max(jumps, default=0.0))}
