# SPDX-License-Identifier: Apache-2.0
"""What the matcher has to hold at rates at which simpler ones fail, with one of these as the control.

Streams are columns here, not events one by one: 10 Gb/s for a quarter of a minute, a connection that carries
all, and very many that carry one message each.
"""

import numpy as np
import pytest

from consumer.latency import match as m
from consumer.latency.intervals import DTYPES, I64, Arrivals, Receives, Sends, Table, empty

SECOND = 10**9
GIGABYTE_A_SECOND = 1.25
SKEW = 10 * SECOND
NOW = m.Now(broker_ms=2, expire_before=0, final=True)


def table(kind: type[Table], **columns: I64) -> Table:
    """Return a table; columns not given are 1."""
    like = next(iter(columns.values()))
    filled = [columns.get(name, np.ones_like(like)).astype(DTYPES[name]) for name in kind._fields]
    return kind(*filled)


def stream(size: int, loss: float, seed: int) -> tuple[Sends, Receives]:
    """One flow of 10 Gb/s whose receiver's clock is 10 s behind; reads are cut otherwise than sends."""
    rng = np.random.default_rng(seed)
    length = rng.integers(1, 2_000_000, size)
    end = np.cumsum(length)
    sent = (end / GIGABYTE_A_SECOND).astype(np.int64)
    reads = np.unique(
        np.concatenate((end[rng.random(size) < 0.7], rng.integers(1, end[-1], size // 3), end[-1:]))
    )
    read = np.maximum.accumulate(
        (reads / GIGABYTE_A_SECOND).astype(np.int64) + rng.integers(20_000, 90_000, reads.size)
    )
    begin = np.concatenate(([0], reads[:-1]))
    kept_send, kept_read = rng.random(size) >= loss, rng.random(reads.size) >= loss
    flow = np.zeros(size, dtype=np.int64)
    sends = table(
        Sends, flow=flow[kept_send], begin=(end - length)[kept_send], end=end[kept_send], time=sent[kept_send]
    )
    zero = np.zeros(int(kept_read.sum()), dtype=np.int64)
    receives = table(
        Receives, flow=zero, begin=begin[kept_read], end=reads[kept_read], time=read[kept_read] - SKEW
    )
    return sends, receives


def pairs(sends: Sends, receives: Receives) -> set[tuple[int, int]]:
    """Match; return (send's time, read's time) of each match."""
    waiting = m.Open(sends, receives, empty(Arrivals), m.nothing().islands)
    _, closed = m.match(waiting, int(max(sends.flow.max(), receives.flow.max())) + 1, NOW)
    return set(zip(closed.sends.time.tolist(), closed.receives.time.tolist(), strict=True))


def truth(sends: Sends, receives: Receives) -> set[tuple[int, int]]:
    """Whose last byte each read took, from 64-bit positions of one flow."""
    at = np.searchsorted(receives.end, sends.end)
    there = at < receives.end.size
    at = np.minimum(at, receives.end.size - 1)
    found = there & (receives.begin[at] < sends.end)
    return set(zip(sends.time[found].tolist(), receives.time[at[found]].tolist(), strict=True))


def wrapped(one: Table) -> Table:
    """Positions as TCP's own 32 bits tell them."""
    begin = one.begin % 2**32
    return one._replace(begin=begin, end=begin + (one.end - one.begin))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("loss", [0.0, 0.02, 0.1])
def test_a_stream_of_ten_gigabits_is_matched_without_a_false_pair(loss: float, seed: int) -> None:
    """Sequence numbers come round every 3.4 s, clocks are 10 s apart: 64 bits of position tell them apart."""
    sends, receives = stream(15_000, loss, seed)
    assert int(sends.end[-1]) > 3 * 2**32
    found, expected = pairs(sends, receives), truth(sends, receives)
    assert found == expected
    assert len(expected) > 0.75 * sends.end.size


@pytest.mark.parametrize("seed", range(5))
def test_control_positions_of_32_bits_make_false_pairs(seed: int) -> None:
    sends, receives = stream(15_000, 0.02, seed)
    false = pairs(wrapped(sends), wrapped(receives)) - truth(sends, receives)
    assert len(false) > 1_000


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
def test_coverage_is_what_chance_leaves(loss: float) -> None:
    """A send and the read of its last byte both survive with (1 - p)^2, within 0.3 points."""
    size, rng = 1_000_000, np.random.default_rng(3)
    end = np.arange(1, size + 1, dtype=np.int64) * 100
    time = np.arange(size, dtype=np.int64)
    flow = np.zeros(size, dtype=np.int64)
    whole = {"flow": flow, "begin": end - 100, "end": end, "time": time}
    sent, read = rng.random(size) >= loss, rng.random(size) >= loss
    sends = table(Sends, **{name: column[sent] for name, column in whole.items()})
    receives = table(Receives, **{name: column[read] for name, column in whole.items()})
    found = pairs(sends, receives)
    assert all(one == other for one, other in found)
    assert abs(len(found) / size - (1 - loss) ** 2) < 0.003


def test_one_connection_that_carries_half_and_half_a_million_that_carry_one_message() -> None:
    """Both at once, in one tick: each message finds its read, and nothing is left open."""
    tiny, rng = 500_000, np.random.default_rng(4)
    long = np.cumsum(rng.integers(1, 100_000, tiny))
    one = np.full(tiny, 1_000, dtype=np.int64)
    flow = np.concatenate((np.zeros(tiny, dtype=np.int64), 2 * np.arange(1, tiny + 1)))
    end = np.concatenate((long, one))
    begin = np.concatenate((np.concatenate(([0], long[:-1])), np.zeros(tiny, dtype=np.int64)))
    time = np.arange(2 * tiny)
    order = rng.permutation(2 * tiny)
    sends = table(Sends, flow=flow, begin=begin, end=end, time=time)
    receives = table(Receives, flow=flow[order], begin=begin[order], end=end[order], time=time[order])
    waiting = m.Open(sends, receives, empty(Arrivals), m.nothing().islands)
    still, closed = m.match(waiting, 2 * tiny + 2, NOW)
    assert closed.sends.time.size == 2 * tiny
    assert (closed.sends.time == closed.receives.time).all()
    assert still.sends.flow.size == still.receives.flow.size == closed.expired.flow.size == 0
