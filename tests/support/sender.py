# SPDX-License-Identifier: Apache-2.0
"""The agent's delivery with a spool, sending records that tell which ones they are; what became of them."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.delivery.choose import delivery_of
from agent.delivery.outstanding import Ticket
from agent.delivery.spooled import SpooledDelivery
from agent.ledger import DELIVERED, NO_LOSS, Ledger
from agent.spool.record import Run
from agent.spool.settings import SpoolSection
from common.kafka import KafkaSettings
from common.units import ByteSize, Duration
from support.faults import Faults
from support.records import values
from support.spool import OFFSET_NS, RUN

SHARDS = 3
PATIENCE_SECONDS = 60.0
QUICK = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200}
Name = tuple[int, int, int]
"""Epoch, shard, sequence."""


def events_of(sequence: int) -> int:
    """Return how many events a record counts as."""
    return 1 + sequence % 5


class Sender:
    """A delivery with a spool, and what was sent with it."""

    def __init__(self, bootstrap: str, topic: str, folder: Path, run: Run = RUN, **more: Any) -> None:
        options = {"options": QUICK, "shards": SHARDS} | more.pop("kafka", {})
        kafka = KafkaSettings(bootstrap_servers=bootstrap, events_topic=topic, **options)
        wanted = {"after": Duration(0.3), "max_disk_share": 1.0, "max_bytes": ByteSize(2**28)}
        section = SpoolSection(path=str(folder), **(wanted | {"file_bytes": ByteSize(2**17)} | more))
        self.ledger = Ledger()
        self.run = run
        made = delivery_of(kafka, section, self.ledger, run, OFFSET_NS)
        assert isinstance(made, SpooledDelivery)
        self.delivery = made
        self.delivery.begin()
        self.next = [0] * SHARDS
        self.events = 0

    def send(self, count: int, size: int = 2000) -> None:
        """Send so many records to each shard."""
        for _ in range(count):
            for shard in range(SHARDS):
                sequence = self.next[shard]
                self.next[shard] += 1
                events = events_of(sequence)
                self.events += events
                ticket = Ticket(shard, sequence, events, time.monotonic_ns())
                self.delivery.send(value_of(self.run.epoch, shard, sequence, size), ticket)

    def load(self, until: Callable[[], bool]) -> None:
        """Send small records, a few at a time, until something holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not until():
            assert time.monotonic() < deadline, self.ledger.totals()
            self.send(2)
            self.delivery.poll()
            time.sleep(0.005)

    def warm(self) -> None:
        """Send a little and wait: what comes next goes straight to Kafka."""
        self.send(1)
        self.until(self.is_settled)

    def until(self, reached: Callable[[], bool]) -> None:
        """Poll until something holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not reached():
            assert time.monotonic() < deadline, (self.delivery.last_error, self.ledger.totals())
            self.delivery.poll()
            time.sleep(0.005)

    def recovered(self) -> float:
        """Poll until a record arrives that had not yet; returns the seconds since this call."""
        begun, before = time.monotonic(), self.delivery.last_delivery_ns
        self.until(lambda: self.delivery.last_delivery_ns != before)
        return round(time.monotonic() - begun, 2)

    def end(self) -> int:
        """End as the agent does; returns the records that are left."""
        left = self.delivery.close(PATIENCE_SECONDS, time.monotonic)
        self.delivery.end()
        return left

    def is_settled(self) -> bool:
        """Say whether nothing is on its way or in the spool."""
        return not (self.delivery.waiting or len(self.delivery.outstanding))

    def lost(self) -> dict[str, int]:
        """Return what the ledger counts as lost, by `stage/reason`."""
        return {
            f"{one.stage}/{one.reason}": one.events
            for one in self.ledger.totals()
            if one.events and (one.stage, one.reason) not in NO_LOSS
        }

    def accounted(self) -> int:
        """Return the events that were delivered or lost."""
        return self.ledger.total(*DELIVERED) + self.ledger.lost()

    def names(self) -> list[Name]:
        """Return what was sent, as ``kept`` tells it."""
        return [(self.run.epoch, shard, n) for shard in range(SHARDS) for n in range(self.next[shard])]


class Kept:
    """What a consumer keeps of a topic, the first of each record, and what it drops."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.names: list[Name] = []
        repeats: Counter[Name] = Counter()
        for shard in range(SHARDS):
            found = [_name(value) for value in values(bootstrap, topic, shard)]
            assert {named for _, named, _ in found} <= {shard}
            first = list(dict.fromkeys(found))
            assert first == sorted(first), "the order of a shard"
            self.names += first
            repeats += Counter(found) - Counter(first)
        self.events = sum(events_of(sequence) for _, _, sequence in self.names)
        self.duplicates = sum(events_of(name[2]) * count for name, count in repeats.items())


def value_of(epoch: int, shard: int, sequence: int, size: int) -> bytes:
    """Return a record's value, which tells which one it is."""
    return b"%d/%d/%d/" % (epoch, shard, sequence) + b"." * (size - 20)


def tell(faults: Faults, fault: str, sender: Sender, kept: Kept, **more: Any) -> None:
    """Tell what became of all that was sent: the topic's records against the agent's own account."""
    assert sender.accounted() == sender.events, "the agent's own account"
    lost = sender.lost()
    more = {"events": sender.events, "stored": kept.events, "duplicates": kept.duplicates, **more}
    faults.tell(fault, lost=lost, where="topic", **more)


def _name(value: bytes) -> Name:
    epoch, shard, sequence = value.split(b"/")[:3]
    return int(epoch), int(shard), int(sequence)
