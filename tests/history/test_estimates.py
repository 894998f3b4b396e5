# SPDX-License-Identifier: Apache-2.0
"""Limits of what was sampled hold the truth as often as they say, over many simulated fleets.

Connections of unlike length, with blocks of unlike numbers of messages; connections and blocks differ from
one another in their latencies. Two hosts keep by rates of their own, by one pair of hashes.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from history.estimates import Blocks, Weighted, group_limits, share_limits, student, total_limits
from schemas.batch import FULL_RATE

SEEDS = 150
F64, I64 = NDArray[np.float64], NDArray[np.int64]


class Fleet(NamedTuple):
    """(n,) messages: connection, block and latency of each; ``of_block`` is the connection of a block."""

    block: I64
    latency: F64
    of_block: I64


class Kept(NamedTuple):
    """What a fleet's messages are kept by, and by which chance."""

    messages: NDArray[np.bool_]
    keep: float


def fleet(random: np.random.Generator, connections: int, unlike: float) -> Fleet:
    blocks = np.clip(random.lognormal(1.5, 1.2, connections).astype(int) + 1, 1, 120)
    of_block = np.repeat(np.arange(connections), blocks)
    block = np.repeat(np.arange(of_block.size), random.integers(1, 40, of_block.size))
    shift = random.normal(0, unlike, connections)[of_block[block]]
    shift += random.normal(0, unlike, of_block.size)[block]
    return Fleet(block, np.exp(11 + shift + random.normal(0, 0.7, block.size)), of_block)


def lopsided(random: np.random.Generator, connections: int, _: float) -> Fleet:
    """Connections of which a few have most blocks (Pareto, 1.3), latencies with a tail of their own."""
    blocks = np.clip((random.pareto(1.3, connections) + 1).astype(int), 1, 3_000)
    of_block = np.repeat(np.arange(connections), blocks)
    block = np.repeat(np.arange(of_block.size), random.integers(1, 20, of_block.size))
    tail = np.where(random.random(block.size) < 0.02, 20, 1)
    return Fleet(block, random.gamma(2, 1e5, block.size) * tail, of_block)


def kept(random: np.random.Generator, found: Fleet, rates: tuple[int, int], *, whole: bool) -> Kept:
    """Keep by both hosts' rates: blocks and whole connections, or with ``whole`` the latter alone."""
    first = random.integers(0, FULL_RATE, int(found.of_block.max()) + 1)[found.of_block]
    second = random.integers(0, FULL_RATE, found.of_block.size)
    keep = np.ones(found.of_block.size, dtype=bool)
    for rate in rates:
        keep &= (first < rate) | ((second < rate) & (not whole))
    share = min(rates) / FULL_RATE
    return Kept(keep[found.block], share if whole else 1 - (1 - share) ** 2)


def value(latencies: F64, q: float) -> float:
    """The value of rank ceil(q n) of sorted latencies."""
    return float(latencies[min(max(int(np.ceil(q * latencies.size)) - 1, 0), latencies.size - 1)])


def blocks_of(found: Fleet, by: Kept, at: float, group: I64 | None = None) -> Blocks:
    """What was kept, block by block."""
    block, of_message = np.unique(found.block[by.messages], return_inverse=True)
    below = np.bincount(of_message, found.latency[by.messages] <= at)
    owner = found.of_block[block]
    keep = np.full(block.size, by.keep)
    return Blocks(
        owner if group is None else group[owner], keep, np.bincount(of_message).astype(np.float64), below
    )


class Told(NamedTuple):
    """In how many of all simulations limits were given, and in what share of those they held."""

    given: int
    held: float


SHARES = (0.5, 0.9, 0.99)


def simulated(
    rates: tuple[int, int], connections: int, unlike: float, make: Callable[..., Fleet] = fleet
) -> dict[str, Told]:
    """Limits of percentiles and of the total number of messages."""
    found: dict[str, list[bool]] = {str(q): [] for q in SHARES} | {"total": []}
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        made = make(random, connections, unlike)
        by = kept(random, made, rates, whole=False)
        ordered, every = np.sort(made.latency[by.messages]), np.sort(made.latency)
        for q in SHARES:
            blocks = blocks_of(made, by, value(ordered, q))
            shares = share_limits(blocks, q)
            if shares is not None:
                low, high = (value(ordered, share) for share in shares)
                found[str(q)].append(low <= value(every, q) <= high)
        totals = total_limits(blocks)
        if totals is not None:
            found["total"].append(totals[0] <= every.size <= totals[1])
    return {name: Told(len(held), sum(held) / max(1, len(held))) for name, held in found.items()}


@pytest.mark.parametrize(
    ("rates", "connections", "unlike"),
    [((6_554, 6_554), 1_000, 0.4), ((30_000, 9_000), 500, 0.4), ((4_000, 20_000), 1_500, 0.3)],
    ids=["alike", "unlike hosts", "the receiver keeps more"],
)
def test_limits_hold_the_truth(rates: tuple[int, int], connections: int, unlike: float) -> None:
    """95 % are said; they hold in 90 to 99 %, but for chance, of values and of totals."""
    for name, told in simulated(rates, connections, unlike).items():
        chance = (0.9 * 0.1 / told.given) ** 0.5
        assert told.given > SEEDS / 2, name
        assert 0.9 - 1.5 * chance <= told.held <= 0.99 + 0.5 * chance, name


@pytest.mark.parametrize(
    ("rates", "connections"),
    [((6_554, 6_554), 1_000), ((30_000, 9_000), 500), ((4_000, 20_000), 1_500)],
    ids=["alike", "unlike hosts", "the receiver keeps more"],
)
def test_limits_hold_where_a_few_connections_carry_most(rates: tuple[int, int], connections: int) -> None:
    """Nobody chose the thresholds on fleets like these; their totals depend on what happens to be kept."""
    for name, told in simulated(rates, connections, 0.0, lopsided).items():
        least = 0.85 if name == "total" else 0.9
        chance = (0.9 * 0.1 / told.given) ** 0.5
        assert told.given > SEEDS / 3, name
        assert least - 1.5 * chance <= told.held <= 0.99 + 0.5 * chance, name


@pytest.mark.parametrize("q", [0.5, 0.99])
def test_whole_connections_taken_for_independent_messages_do_not(q: float) -> None:
    """The control: keep whole connections alone, and say so small an error as if each message was drawn."""
    held = 0
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        found = fleet(random, 1_000, 0.4)
        by = kept(random, found, (3_000, 3_000), whole=True)
        ordered = np.sort(found.latency[by.messages])
        off = 1.96 * (q * (1 - q) / ordered.size) ** 0.5
        held += value(ordered, q - off) <= value(np.sort(found.latency), q) <= value(ordered, q + off)
    assert held / SEEDS < 0.6


def test_limits_of_partitions_hold_the_truth_too() -> None:
    """Without knowing what was kept as one: of 16 partitions that connections are spread over."""
    given = held = 0
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        found = fleet(random, 1_000, 0.4)
        by = kept(random, found, (6_554, 30_000), whole=False)
        ordered = np.sort(found.latency[by.messages])
        parts = blocks_of(found, by, value(ordered, 0.5), random.integers(0, 16, found.of_block.size))
        shares = group_limits(parts, 0.5)
        if shares is not None:
            given += 1
            truth = value(np.sort(found.latency), 0.5)
            held += value(ordered, shares[0]) <= truth <= value(ordered, shares[1])
    assert given > SEEDS / 2
    assert held / given > 0.9


def test_too_little_says_nothing() -> None:
    """Few connections, few partitions, nothing at all; and all of it is no estimate."""
    one = Blocks(np.arange(5), np.full(5, 0.02), np.ones(5), np.ones(5))
    none = Blocks(*(np.zeros(0) for _ in Blocks._fields))
    assert share_limits(one, 0.5) is total_limits(one) is group_limits(one, 0.5) is None
    assert share_limits(none, 0.5) is total_limits(none) is None
    every = Blocks(np.arange(50), np.ones(50), np.ones(50), np.arange(50) % 2.0)
    assert share_limits(every, 0.5) == (0.5, 0.5)


def test_each_message_counts_for_as_many_as_it_stands_for() -> None:
    """A quarter kept of slow ones, all of fast ones: the median is that of all."""
    found = Weighted(5, np.array([300, 400], dtype=np.int32), np.array([60.0, 25 * 4.0]), 0, 0, 600, 9_000)
    assert found.total == 160
    assert found.quantile(60 / 160) < 1_000 < found.quantile(61 / 160)
    some = Weighted(5, np.array([300], dtype=np.int32), np.array([2.0]), 3, 5, -7, 800)
    assert [some.quantile(q) for q in (0.5, 0.6, 0.8)] == [-7, 0, 0]
    assert np.isnan(found._replace(least=None).quantile(0.5))


def test_student() -> None:
    """As in tables of the distribution."""
    tabled = {3: 3.182, 5: 2.571, 10: 2.228, 30: 2.042, 1e9: 1.960}
    for freedom, expected in tabled.items():
        assert student(freedom) == pytest.approx(expected, rel=0.01)
