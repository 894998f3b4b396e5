# SPDX-License-Identifier: Apache-2.0
"""The spool's thread: whoever hands over waits for nothing, and all of it is written or told."""

import threading

from agent.spool.keeper import Keeper, Taken
from agent.spool.limits import Limits
from agent.spool.record import Loss
from agent.spool.store import Store
from support.spool import OFFSET_NS, ROOMY, RUN, record, store, take_all


class SlowStore(Store):
    """A disk that does not come back until it is let."""

    def __init__(self, folder, limits: Limits):
        super().__init__(folder, limits, RUN, OFFSET_NS)
        self.let = threading.Event()
        self.reached = threading.Event()

    def write(self, records):
        self.reached.set()
        assert self.let.wait(60)
        super().write(records)


def test_a_disk_that_hangs_makes_nobody_wait(tmp_path):
    """While a write hangs, handing over goes on until the queue is full and then refuses."""
    slow = SlowStore(tmp_path, ROOMY)
    keeper = Keeper(slow, 100_000)
    keeper.start()
    assert keeper.put(record(0, 0))
    assert slow.reached.wait(60)
    taken = 1
    while keeper.put(record(0, taken, 10_000)):
        taken += 1
    assert taken == 11
    keeper.give(10**6)
    assert keeper.take() == []
    assert not keeper.flush(0.01)
    slow.let.set()
    assert keeper.flush(60)
    keeper.stop(60)
    again = store(tmp_path)
    assert [one.record.sequence for one in take_all(again)] == list(range(taken))


class BrokenStore(Store):
    """Fails in a way nobody thought of, once."""

    broken = False

    def losses(self):
        if not self.broken:
            self.broken = True
            raise RuntimeError("out of the blue")
        return super().losses()


def test_a_failure_does_not_end_the_thread(tmp_path):
    keeper = Keeper(BrokenStore(tmp_path, ROOMY, RUN, OFFSET_NS), 10**6)
    keeper.start()
    keeper.put(record(0, 0))
    assert keeper.flush(60)
    keeper.put(record(0, 1))
    assert keeper.flush(60)
    assert keeper.figures.records == 2
    keeper.stop(60)


def test_what_is_given_is_bounded_and_split_among_shards(tmp_path):
    """One shard that is stuck does not keep the others waiting."""
    opened = store(tmp_path)
    opened.write([record(shard, n, 100_000) for n in range(60) for shard in range(3)])
    opened.close()
    keeper = Keeper(Store(tmp_path, ROOMY, RUN, OFFSET_NS), 10**6)
    keeper.start()
    keeper.give(10**9)
    assert keeper.flush(60)
    taken = keeper.take()
    assert not any(isinstance(one, Loss) for one in taken)
    by_shard = [
        sum(1 for one in taken if isinstance(one, Taken) and one.given.record.shard == s) for s in range(3)
    ]
    assert all(20 <= count <= 22 for count in by_shard), by_shard
    for one in taken:
        if isinstance(one, Taken) and one.given.record.shard != 1:
            keeper.done(one.given.place)
    assert keeper.flush(60)
    more = keeper.take()
    assert {one.given.record.shard for one in more if isinstance(one, Taken)} == {0, 2}
    keeper.stop(60)
