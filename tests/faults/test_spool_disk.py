# SPDX-License-Identifier: Apache-2.0
"""The disk under the agent's spool is full, turns bits or is torn: counted to the event, used again."""

import itertools
import os
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.units import ByteSize
from support.faults import Faults
from support.kafka import KafkaNode
from support.sender import SHARDS, Kept, Sender, events_of, tell
from support.spool import LATER, RUN

PATIENCE_SECONDS = 60.0
pytestmark = pytest.mark.kafka


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write to a file until the disk is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        with pytest.raises(OSError, match="No space left"):
            deque((os.write(descriptor, bytes(4096)) for _ in itertools.count()), maxlen=0)
    finally:
        os.close(descriptor)


@pytest.mark.kernel  # mounting needs root
def test_the_disk_of_the_spool_is_full_and_then_freed(
    node: KafkaNode, topic: str, small_disk: Path, faults: Faults
) -> None:
    """Another program fills it while Kafka is away; what finds no place is counted, then all goes on."""
    sender = Sender(
        node.bootstrap, topic, small_disk / "spool", file_bytes=ByteSize(2**17), when_full="drop-newest"
    )
    node.suspend()
    try:
        for _ in range(10):
            sender.send(2, 10_000)
            sender.until(lambda: sender.delivery.spool.figures.records > 0)
        fill(small_disk / "hog")
        for _ in range(10):
            sender.send(5, 10_000)
            assert sender.delivery.spool.flush(PATIENCE_SECONDS)
            sender.delivery.poll()
        lost = sender.lost()
        (small_disk / "hog").unlink()
        sender.send(5, 10_000)
        assert sender.delivery.spool.flush(PATIENCE_SECONDS)
        sender.delivery.poll()
        assert sender.lost() == lost
    finally:
        node.resume()
    seconds = sender.recovered()
    sender.until(sender.is_settled)
    assert sender.end() == 0
    assert list(lost) == ["spool/disk-full"]
    kept = Kept(node.bootstrap, topic)
    tell(faults, "disk of the spool full, then freed", sender, kept, recovery_seconds=seconds)


def left_behind(node: KafkaNode, topic: str, folder: Path) -> Sender:
    """Return a sender that ended while the broker hung: all it sent is in its spool's one file."""
    sender = Sender(node.bootstrap, topic, folder, file_bytes=ByteSize(2**24))
    sender.delivery.paused = True
    sender.send(30)
    assert sender.delivery.close(0, time.monotonic) == 30 * SHARDS
    sender.delivery.end()
    return sender


def file_of(folder: Path) -> Path:
    [path] = folder.glob("*.spool")
    return path


@pytest.mark.parametrize("records", [1, 7])
def test_bytes_of_the_spool_flip(
    node: KafkaNode, topic: str, tmp_path: Path, faults: Faults, records: int
) -> None:
    """In values: the records are left out and counted in events, which their heads still tell."""
    sender = left_behind(node, topic, tmp_path / "spool")
    path = file_of(tmp_path / "spool")
    whole = bytearray(path.read_bytes())
    for n in range(records):
        whole[whole.index(b"1/%d/%d/" % (n % SHARDS, n)) + 200] ^= 0x40
    path.write_bytes(bytes(whole))
    later = Sender(node.bootstrap, topic, tmp_path / "spool", LATER)
    seconds = later.recovered()
    later.until(later.is_settled)
    assert later.end() == 0
    kept = Kept(node.bootstrap, topic)
    assert len(kept.names) == 30 * SHARDS - records
    assert later.delivery.earlier.events == {"delivered": kept.events, "corrupt": sender.events - kept.events}
    faults.tell(
        f"{records} flipped byte{'s' if records > 1 else ''} in the spool",
        events=sender.events,
        stored=kept.events,
        lost={"spool/corrupt": later.delivery.earlier.events["corrupt"]},
        recovery_seconds=seconds,
        where="topic",
    )


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_crash_tears_the_spool(
    node: KafkaNode, topic: str, tmp_path: Path, faults: Faults, share: float
) -> None:
    """The end of its log was not written: all before is delivered, and only that."""
    sender = Sender(node.bootstrap, topic, tmp_path / "spool", file_bytes=ByteSize(2**24))
    sender.delivery.paused = True
    for _ in range(10):
        sender.send(3)
        assert sender.delivery.spool.flush(PATIENCE_SECONDS)
    shutil.copytree(tmp_path / "spool", tmp_path / "crashed")
    sender.delivery.close(0, time.monotonic)
    sender.delivery.end()
    [log] = (tmp_path / "crashed").glob("*-wal")
    with log.open("r+b") as file:
        file.truncate(int(log.stat().st_size * share))
    later = Sender(node.bootstrap, topic, tmp_path / "crashed", LATER)
    later.until(later.is_settled)
    later.send(3)
    later.until(later.is_settled)
    assert later.end() == 0
    kept = Kept(node.bootstrap, topic)
    assert set(later.names()) <= set(kept.names), "the spool is used again"
    stored = sum(events_of(n) for epoch, _, n in kept.names if epoch == RUN.epoch)
    assert 0 < stored < sender.events
    assert later.delivery.earlier.events == {"delivered": stored}
    faults.tell(
        f"crash that left {share:.0%} of the spool's log",
        events=sender.events,
        stored=stored,
        lost={"agent/unaccounted": sender.events - stored},
        where="topic",
    )
