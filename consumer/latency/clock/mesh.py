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
ROUNDS = 5
LOPSIDED = 0.05
"""The error that unlike delays there and back make, one sigma, as a share of the bound's half width."""
LEAST_SIGMA_NS = 100.0


class Edges(NamedTuple):
    """(m,) pairs of hosts that talk; values are B's clock minus A's, ns, at (q,) common times."""

    a: I64
    b: I64
    low: F64
    """(m, q), -inf where nothing is known then."""
    at: F64
    """(m, q), nan where nothing is known then."""
    high: F64
    """(m, q), inf where nothing is known then."""
    noise: F64
    """(m,) how far chance may move `at`, one sigma."""


class Mesh(NamedTuple):
    """The answer, at (q,) times."""

    offset: F64
    """(h, q) each host's clock minus that of the first of its group, ns; nan where not connected then."""
    ahead: F64
    """(h, h, q) [x, y]: the most that y's clock can be ahead of x's, ns; the least is minus [y, x]."""
    group: I64
    """(h,) hosts of one number are joined by pairs that talk."""
    contradicted: Bools
    """(q,) whether the bounds contradict one another then; `ahead` is that of the pairs alone there."""


def agree(hosts: int, edges: Edges) -> Mesh:
    """Solve for (h,) hosts.

    Args:
        hosts: how many, numbered from 0.
        edges: each pair at most once, in either order.
    """
    graph = coo_array((np.ones(edges.a.size), (edges.a, edges.b)), shape=(hosts, hosts))
    _, group = connected_components(graph, directed=False)
    direct = _direct(hosts, edges)
    ahead = _shortest(direct)
    contradicted: Bools = np.asarray((ahead[np.arange(hosts), np.arange(hosts)] < 0).any(axis=0))
    ahead[:, :, contradicted] = direct[:, :, contradicted]
    return Mesh(_likeliest(hosts, edges), ahead, group.astype(np.int64), contradicted)


def _direct(hosts: int, edges: Edges) -> F64:
    times = edges.at.shape[1]
    ahead = np.full((hosts, hosts, times), np.inf)
    ahead[edges.a, edges.b] = edges.high
    ahead[edges.b, edges.a] = -edges.low
    ahead[np.arange(hosts), np.arange(hosts)] = 0.0
    return ahead


def _shortest(direct: F64) -> F64:
    """Return the lengths of all shortest paths (Floyd and Warshall), for all times at once."""
    ahead = direct.copy()
    for middle in range(ahead.shape[0]):
        np.minimum(ahead, ahead[:, middle, None, :] + ahead[None, middle, :, :], out=ahead)
    return ahead


def _likeliest(hosts: int, edges: Edges) -> F64:
    """Return (h, q): iteratively reweighted least squares; the first host of what is joined then is 0."""
    known = ~np.isnan(edges.at)
    sigma = np.hypot(
        np.maximum(edges.noise, LEAST_SIGMA_NS)[:, None], LOPSIDED * (edges.high - edges.low) / 2
    )
    base = np.where(known, 1 / np.where(known, sigma, 1) ** 2, 0.0)
    values, weights = np.where(known, edges.at, 0.0), base
    first = _first_joined(hosts, edges, known)
    offset: F64 = np.zeros((hosts, edges.at.shape[1]))
    for _ in range(1 + ROUNDS):
        offset = _least_squares(edges, values, weights, first)
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
