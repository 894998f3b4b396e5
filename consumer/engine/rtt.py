# SPDX-License-Identifier: Apache-2.0
"""Histogram rows of the kernel's smoothed round-trip time: one value an account of an end.

An end tells an account as it closes, and every few minutes before: long connections count more often than
short ones, and no event costs anything for it. The edge is that of what the end sends.
"""

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place
from consumer.engine.collect import Lives
from consumer.engine.facts import Rows, describe, link
from consumer.engine.flows import UNHEARD, Flows
from consumer.engine.parts import Edges, Measure, part_rows
from consumer.latency.sampling import whole_connection
from schemas.clock import ONE_HOST

RTT = "rtt"
_MICROSECOND_NS = 1_000


def rows_of(place: Place, accounts: Lives | None, flows: Flows, window_ns: int) -> pa.Table | None:
    """Return the parts of one tick, None where no account knows a round trip."""
    if accounts is None:
        return None
    known = np.flatnonzero(accounts.columns["srtt_us"] > 0)
    if not known.size:
        return None
    nobody = np.full(known.size, UNHEARD, dtype=np.int32)
    linked = link(Rows(accounts.end[known], nobody, nobody))
    links, chances = describe(flows, linked.triples), [whole_connection(one.rates) for one in flows.actors]
    keeps, chance = np.unique(np.array(chances)[accounts.actor[known]], return_inverse=True)
    pairs, row = np.unique(linked.rows() * keeps.size + chance, return_inverse=True)
    edges = Edges([links[at // keeps.size] for at in pairs.tolist()], keeps[pairs % keeps.size].tolist())
    group = edges.group(row, accounts.at[known] // window_ns)
    values = accounts.columns["srtt_us"][known] * _MICROSECOND_NS
    everything = np.ones(known.size, dtype=bool)
    return part_rows(place, edges, group, Measure(RTT, ONE_HOST, values, everything), window_ns)
