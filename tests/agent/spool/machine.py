# SPDX-License-Identifier: Apache-2.0
"""The spool beside a model of it: lists of what is to come out of each shard, and of what was taken.

*Conservation*: each record that was written is given or told as lost, and those that a crash brings back are
ones that were done. *Integrity*: what is given is what was put in, in the order of its shard. *Liveness*: a
spool opens and takes records again, whatever a crash left of its files.
"""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.spool.limits import WhenFull
from agent.spool.record import Given, Record
from agent.spool.store import Store
from support.spool import LATER, RUN, record, store

QUOTA, FILE = 2**19, 2**17
GOLDEN = Path(__file__).parent / "golden" / "format-1.sql"
SHARDS = 3


class Kept(NamedTuple):
    """A record that is to come out, and the run that wrote it."""

    epoch: int
    record: Record


class Spool(RuleBasedStateMachine):
    """Whoever inherits says what a crash leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="wirelag-spool-", dir="/dev/shm"))
        self.folder = self.home / "0"
        self.starts = 0
        self.run = RUN
        self.left: dict[int, list[Kept]] = {shard: [] for shard in range(SHARDS)}
        self.out: list[tuple[Given, int]] = []
        self.next = [0] * SHARDS
        self.gone: set[tuple[int, int, int]] = set()
        """(epoch, shard, sequence) of what arrived or was lost: a crash may bring it back, as a repeat."""
        self.when_full: WhenFull = "drop-oldest"
        self.written: list[Record] = []
        """By the last write: where the newest gives way it is of these."""
        self.opened: Store | None = None

    @initialize(when_full=st.sampled_from(["drop-oldest", "drop-newest"]), earlier=st.booleans())
    def begin(self, *, when_full: WhenFull, earlier: bool) -> None:
        """Begin with nothing, or with a file that the first version of the agent left."""
        self.when_full = when_full
        if earlier:
            self.folder.mkdir()
            made = self.home / "golden"
            with closing(sqlite3.connect(made)) as database:
                database.executescript(GOLDEN.read_text(encoding="utf-8"))
            shutil.copy(made, self.folder / "000000000001.spool")
            self.run = LATER
            for number in (1, 2, 4, 5):
                one = record(number % 3, number // 3, 20)
                self.left[one.shard].append(Kept(RUN.epoch, one))
            self.gone |= {(RUN.epoch, 0, sequence) for sequence in range(3)}
            self.next = [3] * SHARDS
        self.opened = self.open()

    def open(self) -> Store:
        return store(self.folder, self.run, max_bytes=QUOTA, file_bytes=FILE, when_full=self.when_full)

    @property
    def spool(self) -> Store:
        assert self.opened is not None
        return self.opened

    def teardown(self) -> None:
        if self.opened is not None:
            self.opened.close()
        shutil.rmtree(self.home)

    @rule(shard=st.integers(0, SHARDS - 1), count=st.integers(1, 8), size=st.sampled_from([10, 3000, 40_000]))
    def write(self, shard: int, count: int, size: int) -> None:
        self.write_to(self.spool, self.fresh(shard, count, size))

    def write_to(self, spool: Store, records: list[Record]) -> None:
        """Write records; what gave way to them is no longer expected."""
        self.written = records
        spool.write(records)
        for one in records:
            self.left[one.shard].append(Kept(self.run.epoch, one))
        self.lose()

    def fresh(self, shard: int, count: int, size: int) -> list[Record]:
        """Return the shard's next records."""
        records = [record(shard, self.next[shard] + n, size) for n in range(count)]
        self.next[shard] += count
        return records

    @rule(most=st.integers(1, 200_000))
    def take(self, most: int) -> None:
        for one in self.spool.give(most, most, {}):
            shard = one.record.shard
            kept = self.waiting(shard)[0]
            assert (one.record, one.own) == (kept.record, kept.epoch == self.run.epoch)
            self.out.append((one, kept.epoch))
        self.lose()

    @precondition(lambda self: self.out)
    @rule(arrived=st.booleans(), data=st.data())
    def decide(self, *, arrived: bool, data: st.DataObject) -> None:
        """One that is out arrives, or everything of its shard comes back."""
        one, epoch = data.draw(st.sampled_from(self.out))
        shard = one.record.shard
        if arrived:
            self.spool.done(one.place)
            self.out.remove((one, epoch))
            self.forget(Kept(epoch, one.record))
        else:
            for other in [pair for pair in self.out if pair[0].record.shard == shard]:
                self.spool.back(other[0].place)
                self.out.remove(other)
        self.lose()

    @rule()
    def note(self) -> None:
        self.spool.note()

    @rule()
    def restart(self) -> None:
        """End in order, and begin again in the same folder."""
        self.drop_orphans()
        self.spool.close()
        self.start(self.folder)

    def start(self, folder: Path) -> None:
        """Begin a later run with what is in a folder."""
        self.folder, self.out, self.written = folder, [], []
        self.run = LATER._replace(epoch=self.run.epoch + 1)
        self.opened = self.open()
        self.repeat()

    def drop_orphans(self) -> None:
        """Those whose file gave way while they were out were in memory only."""
        for one, epoch in self.out:
            if one.place in self.spool._orphans:
                self.forget(Kept(epoch, one.record))

    def forget(self, kept: Kept) -> None:
        self.left[kept.record.shard].remove(kept)
        self.gone.add((kept.epoch, kept.record.shard, kept.record.sequence))

    def repeat(self) -> None:
        """Bring back what was done and not noted: see that it is nothing else, and take it again."""
        for shard, records in self.peek().items():
            left = [kept.record for kept in self.left[shard]]
            assert [one for one in records if one in left] == left, "all that is left, in its order"
            gone = {sequence for _, of, sequence in self.gone if of == shard}
            assert {one.sequence for one in records if one not in left} <= gone
            assert len(set(records)) == len(records), "each once"
            # From here on, what came back counts as left.
            epochs = {kept.record: kept.epoch for kept in self.left[shard]}
            self.left[shard] = [Kept(epochs.get(one, 0), one) for one in records]

    def peek(self) -> dict[int, list[Record]]:
        """Return what would be given of each shard now."""
        found: dict[int, list[Record]] = {shard: [] for shard in range(SHARDS)}
        for one in self.spool.give(2**30, 2**30, {}):
            found[one.record.shard].append(one.record)
            self.spool.back(one.place)
        return found

    def lose(self) -> None:
        """Take what is told as lost out of the model: the oldest, or of what was written last."""
        losses = self.spool.losses()
        if not losses:
            return
        assert {loss.reason for loss in losses} == {"quota"}
        there = self.peek() if self.when_full == "drop-newest" else None
        for shard in range(SHARDS):
            records = sum(loss.records for loss in losses if loss.shard == shard)
            if there is None:
                lost = self.waiting(shard)[:records]
            else:
                lost = [kept for kept in self.waiting(shard) if kept.record not in there[shard]]
                assert {kept.record for kept in lost} <= set(self.written)
            assert len(lost) == records
            assert sum(kept.record.events for kept in lost) == sum(
                loss.events for loss in losses if loss.shard == shard
            )
            for kept in lost:
                self.forget(kept)

    def waiting(self, shard: int) -> list[Kept]:
        """Return what is left of a shard and not out."""
        out = [Kept(epoch, one.record) for one, epoch in self.out]
        return [kept for kept in self.left[shard] if kept not in out]

    @invariant()
    def as_many_as_there_should_be(self) -> None:
        if self.opened is not None:
            held = sum(self.opened.held().values()) + len(self.opened._orphans)
            assert held == sum(map(len, self.left.values()))
            on_disk = sum(
                path.stat().st_size for path in self.folder.iterdir() if not path.name.endswith("-shm")
            )
            assert on_disk <= QUOTA
            assert self.opened.figures().bytes <= QUOTA
