# SPDX-License-Identifier: Apache-2.0
"""What matches say of how far clocks are apart: of each 250 ms the tightest message from one to another.

A message whose position may be wrong may have another's stamp, and is left out: one that seems to arrive
before it was sent would forbid the truth. Where no arrival was seen the end of the read stands for it, which
is later: a looser bound, not a wrong one. A row is of one minute of the sender's CLOCK_REALTIME, though a
tick may have hours of a spool: by its first message it is found. Vectorised; where all links have one clock
it costs nothing.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from common.units import MINUTE_NS
from consumer.engine.arrow import Place, Spread, table
from consumer.engine.facts import Link
from consumer.latency.intervals import I64, Bools
from consumer.latency.match import Closed
from schemas.event import Flag

BIN_NS = 250_000_000
DOUBTFUL = int(Flag.NO_ROLE | Flag.UNCERTAIN)


def clocks(place: Place, closed: Closed, links: list[Link], link: I64) -> pa.Table | None:
    """Return a row for each minute and two clocks with messages from one to the other, None without any.

    ``link`` (n,) points into ``links``, one a match.
    """
    pairs: dict[tuple[str, str, str, str], int] = {}
    pair_of_link = np.array(
        [pairs.setdefault(_pair(one), len(pairs)) if one.two_clocks else -1 for one in links], dtype=np.int64
    )
    if not pairs:
        return None
    flags = closed.sends.flags | closed.receives.flags | closed.arrival_flags
    some = np.flatnonzero((pair_of_link[link] >= 0) & ((flags & DOUBTFUL) == 0))
    if not some.size:
        return None
    pair, sent = pair_of_link[link[some]], closed.sends.time[some]
    arrived = np.where(closed.arrived >= 0, closed.arrived, closed.receives.time)[some]
    tightest = _tightest(pair, sent // BIN_NS, arrived - sent)
    pair, sent, arrived = pair[tightest], sent[tightest], arrived[tightest]
    wall = sent + closed.sends.offset[some[tightest]]
    starts = np.flatnonzero(_first(pair, wall // MINUTE_NS))
    offsets = pa.array(np.append(starts, pair.size).astype(np.int32))
    at = wall[starts]
    names, spread = list(pairs), Spread(pair[starts])
    columns: dict[str, Any] = {
        "at_ns": at,
        "sender_host": spread.texts([name[0] for name in names]),
        "sender_boot": spread.texts([name[1] for name in names]),
        "receiver_host": spread.texts([name[2] for name in names]),
        "receiver_boot": spread.texts([name[3] for name in names]),
        "sent_times": pa.ListArray.from_arrays(offsets, pa.array(sent)),
        "arrived_times": pa.ListArray.from_arrays(offsets, pa.array(arrived)),
    }
    return table("clock", place, at, columns)


def _pair(one: Link) -> tuple[str, str, str, str]:
    sender, receiver = one.ends[one.direction], one.ends[1 - one.direction]
    assert sender is not None  # noqa: S101 - two clocks
    assert receiver is not None  # noqa: S101 - two clocks
    return sender.host, sender.boot, receiver.host, receiver.boot


def _tightest(pair: I64, stretch: I64, delay: I64) -> I64:
    """Return the places, in the order of pair and stretch, of the least delay of each."""
    order = np.lexsort((delay, stretch, pair))
    return order[_first(pair[order], stretch[order])]


def _first(pair: I64, stretch: I64) -> Bools:
    """Say where another pair, or another stretch of one, begins."""
    first = np.ones(pair.size, dtype=bool)
    first[1:] = (pair[1:] != pair[:-1]) | (stretch[1:] != stretch[:-1])
    return first
