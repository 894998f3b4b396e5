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
from pathlib import Path

from support.spool import LATER, record, store, take_all

KILLS = 20
TORN = 12


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


def test_what_is_beside_a_file_that_is_gone_goes_too(tmp_path):
    """Killed between two unlinks, or while a file was made: nothing of it stays for good."""
    opened = store(tmp_path / "spool", file_bytes=2**24)
    opened.write([record(0, n, 5000) for n in range(10)])
    [log] = (tmp_path / "spool").glob("*-wal")
    remains = {"000000000035.spool-wal": log.read_bytes(), "000000000036.spool-journal": bytes(512)}
    opened.close()
    for name, value in remains.items():
        (tmp_path / "spool" / name).write_bytes(value)
    again = store(tmp_path / "spool")
    assert [one.record for one in take_all(again)] == [record(0, n, 5000) for n in range(10)]
    again.close()
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["lock"]
