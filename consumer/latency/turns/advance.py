# SPDX-License-Identifier: Apache-2.0
"""One stretch of time after another: what is told of each, and what is kept of it for the next."""

from typing import NamedTuple

import numpy as np

from consumer.latency.axis import Pieces, pieces_of
from consumer.latency.intervals import I32, I64, Bools
from consumer.latency.turns.arrivals import Arrivals
from consumer.latency.turns.find import Found, all_of, find
from consumer.latency.turns.merge import Ordered, before, moments, ordered
from consumer.latency.turns.runs import Runs, joined, tails
from consumer.latency.turns.stretch import Came, Edges, Party, Stretch
from consumer.latency.turns.tables import Arrived, Seen, join, take


class Kept(NamedTuple):
    """What stretches leave to the next."""

    runs: Runs
    arrived: I64
    """By end: where the last arrival was."""


class Cut(NamedTuple):
    """The pieces of both tables of calls."""

    reads: Pieces
    sends: Pieces


def cut_of(seen: Seen) -> Cut:
    """Return the pieces of what was seen."""
    return Cut(pieces_of(seen.reads.end), pieces_of(seen.sends.end))


def advance(kept: Kept, seen: Seen, cut: Cut, settled: I64, client: Bools) -> tuple[Kept, Found]:
    """Take what no move that is still to come is before.

    Arrivals not before ``settled``, which is by end number as ``client`` is, are passed over.
    """
    rows = _arrived(seen.arrived, settled, ~client)
    came = Arrivals(rows, seen.arrived.stop[rows.order], kept.arrived)
    kept = kept._replace(arrived=came.last())
    stretches = [_served(seen, cut, ~client, rows, came), _asked(seen, cut, client)]
    found = [stretch.find() for stretch in stretches]
    edges = _both(*(stretch.edges() for stretch in stretches))
    if not edges.front.end.size:
        return kept, all_of(found)
    quiet, active = _concerned(kept.runs, edges.front.end)
    both = joined(active, edges.front, edges.first, client.size)
    found.append(find(both.runs, client, both.wanted))
    few = both.runs
    if edges.long.size:
        of_few = np.ones(client.size, dtype=bool)
        of_few[edges.long] = False
        few = take(few, of_few[few.end])
    return kept._replace(
        runs=join(quiet, take(few, tails(few)), take(edges.back, tails(edges.back)))
    ), all_of(found)


def _arrived(came: Arrived, settled: I64, serves: Bools) -> Ordered:
    """Return the arrivals at servers (who asks needs none) that are settled, in order."""
    rows = ordered(came, pieces_of(came.end), serves)
    if not (rows.time[rows.lasts] >= settled[rows.ends]).any():
        return rows
    ready = rows.time < rows.spread(settled[rows.ends])
    sizes = np.add.reduceat(ready, rows.starts, dtype=np.int64)
    some = sizes > 0
    sizes = sizes[some]
    starts = np.cumsum(sizes) - sizes
    return Ordered(rows.order[ready], rows.time[ready], rows.ends[some], starts, sizes)


def _served(seen: Seen, cut: Cut, serves: Bools, rows: Ordered, came: Arrivals) -> Stretch:
    """Return the stretch at servers: they read requests."""
    reads, sends = ordered(seen.reads, cut.reads, serves), ordered(seen.sends, cut.sends, serves)
    line = moments([reads, sends, rows], serves.size)
    calls, arrived = np.split(line, [line.size - rows.time.size])
    came.lie(arrived)
    answered = calls[reads.time.size :]
    answered += 1  # at one instant what is read comes first
    order = before(calls.copy(), odd=True)
    return Stretch(Party(seen.reads, reads), Party(seen.sends, sends), order, Came(came, answered))


def _asked(seen: Seen, cut: Cut, asks: Bools) -> Stretch:
    """Return the stretch at clients: they send requests."""
    sends, reads = ordered(seen.sends, cut.sends, asks), ordered(seen.reads, cut.reads, asks)
    line, size = moments([sends, reads], asks.size), sends.time.size
    line[:size] += 1
    return Stretch(Party(seen.sends, sends), Party(seen.reads, reads), before(line, odd=False), None)


def _both(one: Edges, other: Edges) -> Edges:
    return Edges(
        join(one.front, other.front),
        np.concatenate((one.first, other.first)),
        join(one.back, other.back),
        np.concatenate((one.long, other.long)),
    )


def _concerned(known: Runs, new: I32) -> tuple[Runs, Runs]:
    """Return the runs of ends that nothing new is of, and the others; ``new`` are ends, at least one."""
    if not known.end.size:
        return known, known
    named = np.zeros(int(max(known.end.max(), new.max())) + 1, dtype=bool)
    named[new] = True
    concerned = named[known.end]
    return take(known, ~concerned), take(known, concerned)
