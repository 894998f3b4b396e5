# SPDX-License-Identifier: Apache-2.0
"""Delivery with a spool, against a Kafka that goes and comes back: what was sent is stored or counted."""

import ctypes
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from agent.ledger import DELIVERED
from common.units import ByteSize
from support.kafka import KafkaNode
from support.sender import PATIENCE_SECONDS, SHARDS, Kept, Sender, events_of
from support.spool import LATER
from support.topics import Topics

pytestmark = pytest.mark.kafka
MAPS = Path("/proc/self/maps")


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


def test_an_outage_goes_to_the_disk_and_comes_back_in_order(node: Node, tmp_path: Path) -> None:
    sender = Sender(node.bootstrap, node.topic, tmp_path / "spool")
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
    assert sorted(Kept(node.bootstrap, node.topic).names) == sender.names()
    assert (sender.ledger.total(*DELIVERED), sender.ledger.lost()) == (sender.events, 0)
    assert sender.delivery.outstanding.acknowledged() == dict.fromkeys(range(SHARDS), 109)
    assert sender.delivery.outstanding.oldest_ns() is None
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["lock"]


def test_a_later_run_delivers_what_an_earlier_one_left(node: Node, tmp_path: Path) -> None:
    """Under the identity of the run that packed it; neither run counts the other's events as its own."""
    earlier = Sender(node.bootstrap, node.topic, tmp_path / "spool")
    node.kill()
    earlier.send(40)
    assert earlier.delivery.close(0, time.monotonic) == 120
    earlier.delivery.end()
    assert earlier.ledger.lost() == 0
    later = Sender(node.bootstrap, node.topic, tmp_path / "spool", LATER)
    later.send(5)
    node.start()
    later.until(later.is_settled)
    later.send(5)
    assert later.end() == 0
    assert sorted(Kept(node.bootstrap, node.topic).names) == earlier.names() + later.names()
    assert later.accounted() == later.ledger.total(*DELIVERED) == later.events
    assert later.delivery.earlier.events == {"delivered": earlier.events}


def test_a_spool_that_is_too_small_loses_the_oldest_and_counts_them(node: Node, tmp_path: Path) -> None:
    sender = Sender(node.bootstrap, node.topic, tmp_path / "spool", max_bytes=ByteSize(2**20))
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
    kept = Kept(node.bootstrap, node.topic).names
    assert all(n > decided.get(shard, -1) for _, shard, n in kept)
    assert set(kept) < set(sender.names())
    assert sum(events_of(n) for _, _, n in kept) == sender.ledger.total(*DELIVERED) == sender.events - lost
    assert sender.ledger.lost() == lost


def test_what_the_way_to_the_disk_does_not_hold_is_counted(node: Node, tmp_path: Path) -> None:
    """The disk is slower than the load: nothing waits for it, what finds no place is lost and counted."""
    sender = Sender(node.bootstrap, node.topic, tmp_path / "spool", kafka={"buffer": ByteSize(2**20)})
    node.kill()
    sender.send(100, 100_000)
    lost = sender.ledger.total("spool", "queue-full")
    assert 0 < lost < sender.events
    node.start()
    sender.until(sender.is_settled)
    sender.end()
    assert sender.accounted() == sender.events
    assert sum(events_of(n) for _, _, n in Kept(node.bootstrap, node.topic).names) == sender.events - lost


def test_records_too_large_for_kafka_do_not_hold_up_the_spool(node: Node, tmp_path: Path) -> None:
    sender = Sender(node.bootstrap, node.topic, tmp_path / "spool", kafka={"max_record": ByteSize(20_000)})
    node.kill()
    sender.send(2)
    sender.until(lambda: sender.delivery.spool.figures.records == 6)
    sender.send(2, 30_000)
    sender.send(2)
    node.start()
    sender.until(sender.is_settled)
    sender.end()
    assert {n for _, _, n in Kept(node.bootstrap, node.topic).names} == {0, 1, 4, 5}
    assert sender.ledger.total("kafka", "msg-size-too-large") == sender.ledger.lost() == 3 * (3 + 4)
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
    sender = Sender(node.bootstrap, node.topic, tmp_path / "spool")
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
    assert sorted(Kept(node.bootstrap, node.topic).names) == sender.names()
    assert sender.accounted() == sender.ledger.total(*DELIVERED) == sender.events


def test_shards_without_a_pause_are_live_again_after_an_outage(node: Node, tmp_path: Path) -> None:
    """Records keep coming, less than the spool's linger apart, and yet each shard leaves it, in order."""
    sender = Sender(node.bootstrap, node.topic, tmp_path / "spool")
    sender.send(5)
    node.kill()
    sender.load(lambda: sender.delivery.waiting > 60)
    node.start()
    sender.load(lambda: not sender.delivery.waiting)
    sender.load(lambda: sender.delivery.waiting == 0 and len(sender.delivery.outstanding) > 0)
    assert sender.end() == 0
    assert sorted(Kept(node.bootstrap, node.topic).names) == sender.names()
    assert (sender.ledger.total(*DELIVERED), sender.ledger.lost()) == (sender.events, 0)


def test_what_waits_behind_the_last_of_a_shard_is_spooled_when_kafka_goes_again(
    node: Node, tmp_path: Path
) -> None:
    sender = Sender(node.bootstrap, node.topic, tmp_path / "spool")
    node.kill()
    sender.send(20)
    sender.until(lambda: sender.delivery.spool.figures.records == 20 * SHARDS)
    node.start()
    sender.load(lambda: bool(len(sender.delivery._meanwhile)))
    node.kill()
    sender.load(lambda: not len(sender.delivery._meanwhile))
    sender.until(lambda: sender.delivery.spool.figures.records > 0)
    node.start()
    sender.until(sender.is_settled)
    assert sender.end() == 0
    assert sorted(set(Kept(node.bootstrap, node.topic).names)) == sender.names()
    assert sender.ledger.lost() == 0
