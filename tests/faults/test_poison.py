# SPDX-License-Identifier: Apache-2.0
"""Records that cannot be read, or not be sent, are set aside and counted; nothing else changes."""

import random
import time

import msgspec
from structlog.testing import capture_logs

from agent.delivery.kafka import KafkaDelivery
from agent.delivery.outstanding import Ticket
from agent.ledger import DELIVERED, Ledger
from common.config import load
from consumer.settings import ConsumerSettings
from schemas import batch as batch_codec
from support.accounts import account
from support.batches import Fleet
from support.consumer import World
from support.faults import Faults

DEEP = 1_000_000
LARGE = 10_000_000


def hostile(shard: int) -> list[bytes]:
    """One value of each sort of trouble."""
    (_, good), *_ = [record for record in Fleet(seed=9).talk(5) if record[0] == shard]
    batch = msgspec.structs.replace(batch_codec.decode(good), sequence=5_000)
    forged = msgspec.structs.replace(batch, events=batch.events + 1)
    short = msgspec.structs.replace(
        batch, sends=msgspec.structs.replace(batch.sends, event_columns=(b"\x08",) * 9)
    )
    return [
        random.Random(3).randbytes(500),  # noqa: S311 - not for secrets
        b"",
        good[:-7],
        batch_codec.encode(msgspec.structs.replace(batch, version=99)),
        batch_codec.encode(forged),
        batch_codec.encode(short),
        b"\x91" * DEEP,
        b"\xdd\xff\xff\xff\xff" + b"\x00" * 100,
        b'{"json": true}',
        good + bytes(LARGE),
    ]


def test_poison_of_every_sort_is_set_aside_counted_and_stops_nothing(world: World, faults: Faults) -> None:
    fleet = Fleet(shards=world.shards)
    world.send(fleet.talk(10))
    bad = hostile(shard=2)
    world.send((2, value) for value in bad)
    world.send(fleet.talk(10))

    with capture_logs() as logs:
        totals = world.consume()

    assert totals.poison == len(bad)
    assert totals.rows["match"] == fleet.sends
    assert len([line for line in logs if line["event"] == "records could not be read"]) == 1
    kept = world.poisoned()
    assert sorted(value for _, value in kept) == sorted(value[:900_000] for value in bad)
    for headers, value in kept:
        assert (headers["topic"], headers["partition"]) == (world.events, "2")
        assert headers["reason"] in {"not-msgpack", "version", "limits", "column", "too-large"}
        assert int(headers["kafka_offset"]) >= 2
        assert int(headers["bytes"]) in {len(value), DEEP} or int(headers["bytes"]) > LARGE
    told = account(world.folder / "lake")
    assert told.records == {"poison": len(bad)}
    faults.tell(
        f"{len(bad)} sorts of records that cannot be read, among good ones",
        events=fleet.events,
        stored=told.stored,
        lost=told.lost,
        duplicates=told.duplicates,
    )


def test_batches_that_a_broker_finds_too_large_are_counted_at_both_ends(world: World, faults: Faults) -> None:
    """The topic takes less than the agent was told: what is refused is lost by name, what follows arrives."""
    world.events = world.topics("events", world.shards, max_message_bytes="4000")
    settings = load(ConsumerSettings, overrides=world.overrides("kafka.compression=none")).kafka
    delivery, fleet = KafkaDelivery(settings, ledger := Ledger()), Fleet(shards=world.shards)
    for messages in (2, 60, 2):
        for shard, value in fleet.talk(messages):
            head = batch_codec.decode(value)
            delivery.send(value, Ticket(shard, head.sequence, head.events, 0))
        # Each round in requests of its own: brokers refuse what shares a request with one that is too large
        assert delivery.close(60, time.monotonic) == 0
    refused = ledger.total("kafka", "msg-size-too-large")
    assert refused > 0
    assert ledger.total(*DELIVERED) + refused == fleet.events

    world.consume()
    told = account(world.folder / "lake")
    assert told.lost == {"consumer/gap": refused}, "the same events, by the batches that came"
    faults.tell(
        "batches refused by the broker as too large",
        events=fleet.events,
        stored=told.stored,
        lost={"kafka/msg-size-too-large": refused},
        duplicates=told.duplicates,
    )
