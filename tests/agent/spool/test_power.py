# SPDX-License-Identifier: Apache-2.0
"""The spool's model with processes that are killed, and with power that fails amid a write.

A kill leaves the files as they are. A power cut leaves what was synced, and of later writes any part
(support/disk.py). Three controls see that the model finds what it is for.
"""

import random
import shutil

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import rule, run_state_machine_as_test

from agent.spool import file as files
from agent.spool.store import Store
from support.disk import Disk
from tests.agent.spool.machine import FILE, Spool

QUICK = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class KilledSpool(Spool):
    """Its process may end at any time: what SQLite was given is in its files."""

    @rule()
    def kill(self):
        self.drop_orphans()
        self.starts += 1
        copy = self.home / str(self.starts)
        shutil.copytree(self.folder, copy)
        self.spool.close()
        self.start(copy)


class CutSpool(Spool):
    """The power may fail at any time, amid a write too."""

    def __init__(self):
        super().__init__()
        self.disk = Disk(random.Random(0))  # noqa: S311 - a test's dice
        self.disk.__enter__()

    def teardown(self):
        super().teardown()
        self.disk.__exit__()

    @rule(
        seed=st.integers(0, 2**32),
        shard=st.integers(0, 2),
        count=st.integers(1, 8),
        size=st.sampled_from([10, 3000, 40_000]),
        changes=st.integers(0, 40),
    )
    def cut(self, seed, shard, count, size, changes):
        """Write, with the power failing after so many changes to the disk, or after the write."""
        self.disk.dice.seed(seed)
        self.starts += 1
        image, done = self.home / str(self.starts), []
        self.disk.fail_after(changes, lambda: done.append(self.disk.image(self.folder, image)))
        self.write_to(self.spool, self.fresh(shard, count, size))
        self.disk.stay()
        if done:  # amid the write: what is of it may be there or not
            for kept in [kept for kept in self.left[shard] if kept.record in self.written]:
                self.forget(kept)
        else:
            self.disk.image(self.folder, image)
        self.drop_orphans()
        self.spool.close()
        self.start(image)


TestKilledSpool = KilledSpool.TestCase
TestKilledSpool.settings = QUICK
TestCutSpool = CutSpool.TestCase
TestCutSpool.settings = QUICK


def without_fsync(monkeypatch):
    monkeypatch.setattr(files, "SCHEMA", files.SCHEMA + "PRAGMA synchronous = OFF;")
    way = files._connect

    def connect(*given):
        database = way(*given)
        database.execute("PRAGMA synchronous = OFF")
        return database

    monkeypatch.setattr(files, "_connect", connect)


def removed_when_given(monkeypatch):
    way = Store._end_if_done

    def end(self, book):
        if not book.events_left:
            for queue in book.queues.values():
                for row in list(queue.out):
                    queue.done(row)
        way(self, book)

    monkeypatch.setattr(Store, "_end_if_done", end)


def two_files_over_the_quota(monkeypatch):
    way = Store._quota
    monkeypatch.setattr(Store, "_quota", lambda self: way(self) + 2 * FILE)


@pytest.mark.parametrize(
    ("machine", "breaks"),
    [(CutSpool, without_fsync), (KilledSpool, removed_when_given), (KilledSpool, two_files_over_the_quota)],
)
def test_the_model_finds_what_it_is_for(monkeypatch, machine, breaks):
    breaks(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=300, database=None))
