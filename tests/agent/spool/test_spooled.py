# SPDX-License-Identifier: Apache-2.0
"""Delivery with a spool, against a Kafka that goes and comes back: what was sent is stored or counted."""

import ctypes
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent.delivery.choose import delivery_of
from agent.delivery.outstanding import Ticket
from agent.delivery.spooled import SpooledDelivery
from agent.ledger import DELIVERED, Ledger
from agent.spool.settings import SpoolSection
from common.kafka import KafkaSettings
from common.units import ByteSize, Duration
from support.kafka import KafkaNode
from support.records import values
from support.spool import LATER, OFFSET_NS, RUN
from support.topics import Topics

pytestmark = pytest.mark.kafka
SHARDS = 3
MAPS = Path("/proc/self/maps")
PATIENCE_SECONDS = 60.0
QUICK = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200}


class Node(NamedTuple):
    """A broker that tests stop and start, and a topic of one test."""

    bootstrap: str
    topic: str
    start: Callable[[], object]
    stop: Callable[[], None]
    kill: Callable[[], None]
    suspend: Callable[[], None]
    resume: Callable[[], None]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaNode]:
    with KafkaNode(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def node(broker: KafkaNode) -> Node:
    one = broker
    topic = Topics(one.bootstrap)("events", SHARDS)
    return Node(one.bootstrap, topic, one.start, one.stop, one.kill, one.suspend, one.resume)


class Sender:
    """A delivery with a spool, and what was sent with it."""

    def __init__(self, node: Node, folder: Path, run: Any = RUN, **more: Any) -> None:
        options = {"options": QUICK, "shards": SHARDS} | more.pop("kafka", {})
        kafka = KafkaSettings(bootstrap_servers=node.bootstrap, events_topic=node.topic, **options)
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
                value = b"%d/%d/%d/" % (self.run.epoch, shard, sequence)
                self.events += sequence % 5
                ticket = Ticket(shard, sequence, sequence % 5, time.monotonic_ns())
                self.delivery.send(value.ljust(size, b"."), ticket)

    def until(self, reached: Callable[[], bool]) -> None:
        """Poll until something holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not reached():
            assert time.monotonic() < deadline, self.ledger.totals()
            self.delivery.poll()
            time.sleep(0.005)

    def end(self) -> int:
        """End as the agent does; returns the records that are left."""
        left = self.delivery.close(PATIENCE_SECONDS, time.monotonic)
        self.delivery.end()
        return left

    def is_settled(self) -> bool:
        """Say whether nothing is on its way or in the spool."""
        return not (self.delivery.waiting or len(self.delivery.outstanding))

    def accounted(self) -> int:
        """Return the events that were delivered or lost."""
        return self.ledger.total(*DELIVERED) + self.ledger.lost()


def stored(node: Node) -> list[tuple[int, int, int]]:
    """Return (epoch, shard, sequence) of what a consumer keeps of the topic: the first of each."""
    found = []
    for shard in range(SHARDS):
        names = [value.split(b"/")[:3] for value in values(node.bootstrap, node.topic, shard)]
        epochs = [(int(epoch), int(named), int(sequence)) for epoch, named, sequence in names]
        assert {named for _, named, _ in epochs} <= {shard}
        kept = list(dict.fromkeys(epochs))
        assert kept == sorted(kept), "the order of a shard"
        found += kept
    return found


def everything(*senders: Sender) -> list[tuple[int, int, int]]:
    """Return what was sent, as ``stored`` tells it."""
    return sorted(
        (s.run.epoch, shard, n) for s in senders for shard in range(SHARDS) for n in range(s.next[shard])
    )


def test_an_outage_goes_to_the_disk_and_comes_back_in_order(node: Node, tmp_path: Path) -> None:
    sender = Sender(node, tmp_path / "spool")
    sender.send(20)
    sender.until(sender.is_settled)
    node.kill()
    sender.send(50)
    sender.until(lambda: sender.delivery.spool.figures.records == 150)
    assert sender.delivery.outstanding.acknowledged() == dict.fromkeys(range(SHARDS), 19)
    assert sender.delivery.outstanding.oldest_ns() is not None
    sender.send(30)
    node.start()
    sender.until(sender.is_settled)
    sender.send(10)
    assert not sender.delivery.waiting, "straight to Kafka again"
    assert sender.end() == 0
    assert sorted(stored(node)) == everything(sender)
    assert (sender.ledger.total(*DELIVERED), sender.ledger.lost()) == (sender.events, 0)
    assert sender.delivery.outstanding.acknowledged() == dict.fromkeys(range(SHARDS), 109)
    assert sender.delivery.outstanding.oldest_ns() is None
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["lock"]


def test_a_broker_restarted_again_and_again_under_load(node: Node, tmp_path: Path) -> None:
    """Killed, suspended and stopped in order: each in-flight record is sent until it is acknowledged."""
    sender = Sender(node, tmp_path / "spool")

    def load(rounds: int) -> None:
        for _ in range(rounds):
            sender.send(4)
            sender.delivery.poll()
            time.sleep(0.005)

    load(50)
    for take, give in (
        (node.kill, node.start),
        (node.suspend, node.resume),
        (node.stop, node.start),
    ):
        take()
        load(100)
        give()
        load(100)
    sender.until(sender.is_settled)
    assert sender.end() == 0
    assert sorted(stored(node)) == everything(sender)
    assert sender.accounted() == sender.ledger.total(*DELIVERED) == sender.events


def test_a_later_run_delivers_what_an_earlier_one_left(node: Node, tmp_path: Path) -> None:
    """Under the identity of the run that packed it; neither run counts the other's events as its own."""
    earlier = Sender(node, tmp_path / "spool")
    node.kill()
    earlier.send(40)
    assert earlier.delivery.close(0, time.monotonic) == 120
    earlier.delivery.end()
    assert earlier.ledger.lost() == 0
    later = Sender(node, tmp_path / "spool", LATER)
    later.send(5)
    node.start()
    later.until(later.is_settled)
    later.send(5)
    assert later.end() == 0
    assert sorted(stored(node)) == everything(earlier, later)
    assert later.accounted() == later.ledger.total(*DELIVERED) == later.events
    assert later.delivery.earlier == {"delivered": earlier.events}


def test_a_spool_that_is_too_small_loses_the_oldest_and_counts_them(node: Node, tmp_path: Path) -> None:
    sender = Sender(node, tmp_path / "spool", max_bytes=ByteSize(2**20))
    node.kill()
    sender.send(1, 20_000)
    sender.until(lambda: sender.delivery.waiting > 0)
    for _ in range(30):
        sender.send(5, 20_000)
        assert sender.delivery.spool.flush(PATIENCE_SECONDS)
        sender.delivery.poll()
    lost = sender.ledger.total("spool", "quota")
    assert 0 < lost < sender.events
    decided = sender.delivery.outstanding.acknowledged()
    assert max(decided.values()) > 0
    node.start()
    sender.until(sender.is_settled)
    sender.end()
    kept = stored(node)
    assert all(n > decided.get(shard, -1) for _, shard, n in kept)
    assert set(kept) < set(everything(sender))
    assert sum(n % 5 for _, _, n in kept) == sender.ledger.total(*DELIVERED) == sender.events - lost
    assert sender.ledger.lost() == lost


def test_what_the_way_to_the_disk_does_not_hold_is_counted(node: Node, tmp_path: Path) -> None:
    """The disk is slower than the load: nothing waits for it, what finds no place is lost and counted."""
    sender = Sender(node, tmp_path / "spool", kafka={"buffer": ByteSize(2**20)})
    node.kill()
    sender.send(100, 100_000)
    lost = sender.ledger.total("spool", "queue-full")
    assert 0 < lost < sender.events
    node.start()
    sender.until(sender.is_settled)
    sender.end()
    assert sender.accounted() == sender.events
    assert sum(n % 5 for _, _, n in stored(node)) == sender.events - lost


def test_records_too_large_for_kafka_do_not_hold_up_the_spool(node: Node, tmp_path: Path) -> None:
    sender = Sender(node, tmp_path / "spool", kafka={"max_record": ByteSize(20_000)})
    node.kill()
    sender.send(2)
    sender.until(lambda: sender.delivery.spool.figures.records == 6)
    sender.send(2, 30_000)
    sender.send(2)
    node.start()
    sender.until(sender.is_settled)
    sender.end()
    assert {n for _, _, n in stored(node)} == {0, 1, 4, 5}
    assert sender.ledger.total("kafka", "msg-size-too-large") == sender.ledger.lost() == 3 * (2 + 3)
    assert sender.accounted() == sender.events


def make_fatal(sender: Sender) -> None:
    """Have the client report a fatal error, as librdkafka's own tests do."""
    producer = sender.delivery._producer
    library = ctypes.CDLL(
        next(line.split()[-1] for line in MAPS.read_text().splitlines() if "rdkafka" in line)
    )
    raise_error = library.rd_kafka_test_fatal_error
    raise_error.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    handle = ctypes.c_void_p.from_address(id(producer) + object.__basicsize__).value
    out_of_order_sequence_number = 45
    assert raise_error(handle, out_of_order_sequence_number, b"as in a test") == 0


def test_a_producer_that_is_done_for_is_replaced_and_nothing_is_lost(node: Node, tmp_path: Path) -> None:
    """With records on their way: they come back, are spooled, and a new producer takes them from there."""
    sender = Sender(node, tmp_path / "spool")
    sender.send(10)
    sender.until(sender.is_settled)
    first = sender.delivery._producer
    node.suspend()
    sender.send(10)
    make_fatal(sender)
    sender.send(10)
    sender.until(lambda: sender.delivery._producer is not first)
    node.resume()
    sender.send(10)
    sender.until(sender.is_settled)
    assert sender.end() == 0
    assert sorted(stored(node)) == everything(sender)
    assert sender.accounted() == sender.ledger.total(*DELIVERED) == sender.events
