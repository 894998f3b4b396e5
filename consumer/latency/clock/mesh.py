# SPDX-License-Identifier: Apache-2.0
"""What the clocks of many hosts are, so that all pairs agree: the likeliest values, and bounds. Pure.

The likeliest values are weighted least squares over all pairs that talk, with Huber's weights so that one
pair with unlike delays there and back moves little. The bounds are shortest paths: if B is at most x ahead
of A, and C at most y ahead of B, then C is at most x + y ahead of A. A path around that comes back to its
start below zero contradicts itself: then something that was taken for granted does not hold, and it is
said, not averaged.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from consumer.latency.clock.line import F64
from consumer.latency.intervals import I64, Bools

HUBER = 1.345
ROUNDS = 12
"""Of Huber's weights at most. Far too few would leave part of what a wrong pair says in the others: 20 us of
10 ms after 5, and none after these."""
SETTLED_NS = 10.0
"""Rounds end where none of the values moves more."""
LOPSIDED = 0.05
"""The error that unlike delays there and back make, one sigma, as a share of the bound's half width."""
LEAST_SIGMA_NS = 100.0
_ENOUGH = -1e18
"""A path below zero gets shorter each time round."""


class Edges(NamedTuple):
    """(m,) pairs of hosts that talk; values are B's clock minus A's, ns, at (q,) common times."""

    a: I64
    b: I64
    at: F64
    """(m, q) the likeliest, nan where nothing is known then."""
    half: F64
    """(m, q) half the distance between its bounds."""
    noise: F64
    """(m,) how far chance may move `at`, one sigma."""


def joined(hosts: int, a: I64, b: I64) -> I64:
    """Return (h,) a number for each host; hosts joined by (m,) pairs have the same."""
    graph = coo_array((np.ones(a.size), (a, b)), shape=(hosts, hosts))
    _, group = connected_components(graph, directed=False)
    numbers: I64 = group.astype(np.int64)
    return numbers


def closed(direct: F64) -> F64:
    """Return the lengths of all shortest paths (Floyd and Warshall) of (h, h, q) edges, inf = no edge.

    A path that comes back below zero is on the diagonal; what else it leads to means nothing then.
    """
    ahead = direct.copy()
    for middle in range(ahead.shape[0]):
        np.minimum(ahead, ahead[:, middle, None, :] + ahead[None, middle, :, :], out=ahead)
        if (ahead[middle, middle] < 0).any():
            np.maximum(ahead, _ENOUGH, out=ahead)
    return ahead


def likeliest(hosts: int, edges: Edges) -> F64:
    """Return (h, q): iteratively reweighted least squares; the first host of what is joined then is 0.

    Nan where a host is joined to none. Values should be small against what is asked of their digits.
    """
    known = ~np.isnan(edges.at)
    sigma = np.hypot(np.maximum(edges.noise, LEAST_SIGMA_NS)[:, None], LOPSIDED * edges.half)
    base = np.where(known, 1 / np.where(known, sigma, 1) ** 2, 0.0)
    values, weights = np.where(known, edges.at, 0.0), base
    first = _first_joined(hosts, edges, known)
    offset: F64 = np.zeros((hosts, edges.at.shape[1]))
    for _ in range(1 + ROUNDS):
        before, offset = offset, _least_squares(edges, values, weights, first)
        if np.abs(offset - before).max(initial=0.0) < SETTLED_NS:
            break
        rest = np.abs(values - offset[edges.b] + offset[edges.a]) / sigma
        weights = base * np.minimum(1.0, HUBER / np.maximum(rest, HUBER))
    alone = (first == np.arange(hosts)[:, None]) & ~_touched(hosts, edges, known)
    offset[alone] = np.nan
    return offset


def _least_squares(edges: Edges, values: F64, weights: F64, first: I64) -> F64:
    """Solve the normal equations for each time; a first host is held at 0 by a weight of its own."""
    hosts, times = first.shape
    matrix = np.zeros((hosts, hosts, times))
    right = np.zeros((hosts, times))
    pulls = weights * values
    for one, other, pull in ((edges.a, edges.b, -pulls), (edges.b, edges.a, pulls)):
        np.add.at(matrix, (one, one), weights)
        np.add.at(matrix, (one, other), -weights)
        np.add.at(right, one, pull)
    own = np.arange(hosts)
    matrix[own, own] += (first == own[:, None]) * max(float(weights.max(initial=0.0)), 1.0)
    solved = np.linalg.solve(np.moveaxis(matrix, 2, 0), right.T[:, :, None])[:, :, 0].T
    offset: F64 = solved - np.take_along_axis(solved, first, axis=0)
    return offset


def _first_joined(hosts: int, edges: Edges, known: Bools) -> I64:
    """Return (h, q): the least number among the hosts that each is joined to at that time."""
    first = np.empty((hosts, known.shape[1]), dtype=np.int64)
    patterns, which = np.unique(known, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        live = patterns[:, number]
        graph = coo_array((np.ones(int(live.sum())), (edges.a[live], edges.b[live])), shape=(hosts, hosts))
        _, label = connected_components(graph, directed=False)
        least = np.full(label.max(initial=-1) + 1, hosts)
        np.minimum.at(least, label, np.arange(hosts))
        first[:, which.ravel() == number] = least[label][:, None]
    return first


def _touched(hosts: int, edges: Edges, known: Bools) -> Bools:
    touched = np.zeros((hosts, known.shape[1]), dtype=bool)
    for side in (edges.a, edges.b):
        np.logical_or.at(touched, side, known)
    return touched
