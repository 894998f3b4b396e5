# SPDX-License-Identifier: Apache-2.0
"""The agent's producer against a real Kafka: what it delivers, refuses and counts."""

import time
from typing import Any

import pytest

from agent.delivery.kafka import KafkaDelivery
from agent.delivery.outstanding import Ticket
from agent.ledger import DELIVERED, Ledger
from common.errors import RuntimeFailure
from common.kafka import KafkaSettings
from common.units import ByteSize
from support.kafka import KafkaNode
from support.records import values
from support.topics import Topics

SHARDS = 3


def delivery(bootstrap: str, topic: str, **more: Any) -> tuple[KafkaDelivery, Ledger]:
    """Return a producer for a topic, and its books."""
    ledger = Ledger()
    settings = KafkaSettings(bootstrap_servers=bootstrap, events_topic=topic, shards=SHARDS, **more)
    return KafkaDelivery(settings, ledger), ledger


def test_batches_reach_the_partition_of_their_shard_in_order(kafka: str, topics: Topics) -> None:
    """Shard = partition, and the order of sequences is the order of records; all is counted as delivered."""
    topic = topics("events", SHARDS)
    producer, ledger = delivery(kafka, topic)
    for sequence in range(50):
        for shard in range(SHARDS):
            producer.send(b"%d/%d" % (shard, sequence), Ticket(shard, sequence, 7, 0))
    assert producer.close(60, time.monotonic) == 0
    for shard in range(SHARDS):
        assert values(kafka, topic, shard) == [b"%d/%d" % (shard, sequence) for sequence in range(50)]
    assert ledger.total(*DELIVERED) == 50 * SHARDS * 7
    assert ledger.lost() == 0
    assert producer.outstanding.acknowledged() == dict.fromkeys(range(SHARDS), 49)


@pytest.mark.slow
def test_a_broker_that_is_not_there_is_told_with_its_address(free_port: int) -> None:
    """Nothing listens: the error says where and what to look at."""
    producer, _ = delivery(f"127.0.0.1:{free_port}", "events")
    with pytest.raises(RuntimeFailure, match=rf"127.0.0.1:{free_port} does not answer .*bootstrap-servers"):
        producer.check_topic()


def test_a_record_that_is_too_large_is_counted_and_stops_nothing(kafka: str, topics: Topics) -> None:
    """What no broker takes is lost, in events, under its reason; what comes after is delivered."""
    producer, ledger = delivery(kafka, topics("events", SHARDS), max_record=ByteSize(20_000))
    producer.send(bytes(30_000), Ticket(0, 0, 11, 0))
    producer.send(b"small", Ticket(0, 1, 5, 0))
    assert producer.close(60, time.monotonic) == 0
    totals = {(total.stage, total.reason): total.events for total in ledger.totals() if total.events}
    assert totals == {("kafka", "msg-size-too-large"): 11, DELIVERED: 5}


def test_what_fits_neither_queue_nor_memory_is_counted_as_lost(free_port: int) -> None:
    """With no broker the bounded queue fills, then the bounded memory; the rest is counted, never silent."""
    small = {"buffer": ByteSize(2**20), "options": {"queue.buffering.max.messages": 10}}
    producer, ledger = delivery(f"127.0.0.1:{free_port}", "events", **small)
    for sequence in range(100):
        producer.send(bytes(100_000), Ticket(0, sequence, 3, 0))
    waiting = len(producer.outstanding)
    assert ledger.total("queue", "full") == 3 * (100 - waiting) > 0
    producer.close(0, time.monotonic)
    assert ledger.lost() == 300


def test_an_outage_of_the_broker_delays_and_loses_nothing(kafka_node: KafkaNode) -> None:
    """Records sent while the broker is down arrive once it is back, each at least once, in order."""
    Topics(kafka_node.bootstrap).create("events", SHARDS, {})
    producer, ledger = delivery(kafka_node.bootstrap, "events")
    producer.send(b"0", Ticket(0, 0, 1, 0))
    assert producer.close(60, time.monotonic) == 0
    kafka_node.kill()
    for sequence in range(1, 20):
        producer.send(b"%d" % sequence, Ticket(0, sequence, 1, 0))
    producer.poll()
    kafka_node.start()
    assert producer.close(100, time.monotonic) == 0
    found = values(kafka_node.bootstrap, "events", 0)
    assert list(dict.fromkeys(found)) == [b"%d" % sequence for sequence in range(20)]
    assert (ledger.total(*DELIVERED), ledger.lost()) == (20, 0)
