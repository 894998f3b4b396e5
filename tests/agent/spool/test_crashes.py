# SPDX-License-Identifier: Apache-2.0
"""What a crash leaves of a spool: all that was on the disk, in order, and of what was not nothing broken.

*Conservation*: what was committed is given or told as lost, once. *Integrity*: what is given is what was put
in, in the order of its shard. *Liveness*: a spool opens and takes records again, whatever its files hold.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.spool import LATER, RUN, record, store, take_all

KILLS = 20
TORN = 12


class CrashingSpool(RuleBasedStateMachine):
    """A spool beside lists: ``left`` is what is to come out of each shard, ``out`` what was taken."""

    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="wirelag-spool-", dir="/dev/shm"))
        self.folder = self.home / "0"
        self.crashes = 0
        self.run = RUN
        self.left = {0: [], 1: [], 2: []}
        self.out = []
        self.next = [0, 0, 0]
        self.gone = set()
        """(epoch, shard, sequence) of what arrived or was lost: a crash may bring it back, as a repeat."""
        self.opened = self.open()

    def open(self):
        return store(self.folder, self.run, max_bytes=2**20, file_bytes=2**17)

    def teardown(self):
        self.opened.close()
        shutil.rmtree(self.home)

    @rule(shard=st.integers(0, 2), count=st.integers(1, 8), size=st.sampled_from([10, 3000, 40_000]))
    def write(self, shard, count, size):
        records = [record(shard, self.next[shard] + n, size) for n in range(count)]
        self.next[shard] += count
        self.opened.write(records)
        self.left[shard] += [(self.run.epoch, one) for one in records]
        self.lose()

    @rule(most=st.integers(1, 200_000))
    def take(self, most):
        for one in self.opened.give(most, most, {}):
            shard = one.record.shard
            epoch, expected = self.left[shard][self.given(shard)]
            assert (one.record, one.own) == (expected, epoch == self.run.epoch)
            self.out.append((one, epoch))
        self.lose()

    @precondition(lambda self: self.out)
    @rule(arrived=st.booleans(), data=st.data())
    def decide(self, arrived, data):
        """One that is out arrives, or everything of its shard comes back."""
        one, epoch = data.draw(st.sampled_from(self.out))
        shard = one.record.shard
        if arrived:
            self.opened.done(one.place)
            self.out.remove((one, epoch))
            self.left[shard].remove((epoch, one.record))
            self.gone.add((epoch, shard, one.record.sequence))
        else:
            for other in [pair for pair in self.out if pair[0].record.shard == shard]:
                self.opened.back(other[0].place)
                self.out.remove(other)
        self.lose()

    @rule(orderly=st.booleans())
    def restart(self, orderly):
        """End in order, or crash: the files as they are at this moment, in another place."""
        for one, epoch in self.out:  # whose file gave way while they were out: they were in memory only
            if one.place in self.opened._orphans:
                self.left[one.record.shard].remove((epoch, one.record))
        if orderly:
            self.opened.close()
        self.crashes += 1
        copy = self.home / str(self.crashes)
        shutil.copytree(self.folder, copy)
        if not orderly:
            self.opened.close()
        self.folder, self.out = copy, []
        self.run = LATER._replace(epoch=self.run.epoch + 1)
        self.opened = self.open()
        self.repeat()

    def repeat(self):
        """Bring back what arrived and was not noted: see that it is nothing else, and take it again."""
        found = {0: [], 1: [], 2: []}
        peeked = self.opened.give(2**30, 2**30, {})
        for one in peeked:
            self.opened.back(one.place)
            found[one.record.shard].append(one.record)
        for shard, records in found.items():
            left = [one for _, one in self.left[shard]]
            assert [one for one in records if one in left] == left, "all that is left, in its order"
            gone = {sequence for _, of, sequence in self.gone if of == shard}
            assert {one.sequence for one in records if one not in left} <= gone
        # From here on, what came back counts as left.
        known = {(shard, one): epoch for shard, pairs in self.left.items() for epoch, one in pairs}
        self.left = {
            shard: [(known.get((shard, one), 0), one) for one in records] for shard, records in found.items()
        }

    def lose(self):
        for loss in self.opened.losses():
            assert loss.reason == "quota"
            taken = {id(pair[0].record) for pair in self.out}
            queue = self.left[loss.shard]
            lost = [pair for pair in queue if id(pair[1]) not in taken and pair not in self.taken()]
            for epoch, one in lost[: loss.records]:
                queue.remove((epoch, one))
                self.gone.add((epoch, loss.shard, one.sequence))

    def taken(self):
        return [(epoch, one.record) for one, epoch in self.out]

    def given(self, shard):
        """Return the place in ``left`` of the next to be given: the first that is not out."""
        taken = self.taken()
        return next(n for n, pair in enumerate(self.left[shard]) if pair not in taken)

    @invariant()
    def as_many_as_there_should_be(self):
        held = self.opened.held()
        orphans = len(self.opened._orphans)
        assert sum(held.values()) + orphans == sum(map(len, self.left.values()))
        assert self.opened.figures().bytes <= 2**20


TestCrashingSpool = CrashingSpool.TestCase
TestCrashingSpool.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, phases=[Phase.explicit, Phase.generate]
)


def test_a_log_cut_at_any_byte_holds_a_beginning_of_what_was_written(tmp_path):
    """As if the disk had not written the rest: whole transactions, from the first on, and no other record."""
    opened = store(tmp_path / "spool", file_bytes=2**24)
    dice = random.Random(7)  # noqa: S311 - a test's dice
    for n in range(30):
        opened.write([record(0, 3 * n + k, dice.choice([10, 5000, 30_000])) for k in range(3)])
    [log] = (tmp_path / "spool").glob("*-wal")
    whole = log.read_bytes()
    kept = []
    for number in range(TORN):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "spool", folder)
        with (folder / log.name).open("r+b") as file:
            cut = dice.randrange(len(whole))
            file.truncate(cut)
            if number % 2:  # the file system had the length, not the bytes
                file.seek(cut)
                file.write(bytes(min(len(whole) - cut, 50_000)))
        again = store(folder, LATER)
        found = [one.record.sequence for one in take_all(again)]
        assert found == list(range(len(found)))
        assert len(found) % 3 == 0
        assert again.losses() == []
        again.write([record(0, 0)])
        assert len(take_all(again)) == 1
        again.close()
        kept.append((cut, len(found)))
    assert max(found for _, found in kept) > 0
    assert [found for _, found in sorted(kept)] == sorted(found for _, found in kept), "the later, the more"


def test_every_record_that_was_told_as_written_survives_sigkill(tmp_path):
    """Twenty processes, each killed while it writes; each goes on in the folder of those before it."""
    dice = random.Random(11)  # noqa: S311 - a test's dice
    said = {}
    for number in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-m", "support.spool_writer", str(tmp_path / "spool"), str(number)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={"PYTHONPATH": ":".join(sys.path)},
            text=True,
        )
        assert process.stdout is not None
        for _ in range(dice.randrange(1, 15)):
            said[number] = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        said[number] = int(rest[-1]) if rest else said[number]
        process.wait()
        process.stdout.close()
    opened = store(tmp_path / "spool")
    found = {number: [] for number in said}
    for one in take_all(opened):
        found[one.record.shard].append(one.record)
    assert opened.losses() == []
    for number, records in found.items():
        assert records == [record(number, n, 5000) for n in range(len(records))]
        assert said[number] <= len(records) <= said[number] + 8, "and at most the transaction under way"
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["lock"]
