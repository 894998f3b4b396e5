# SPDX-License-Identifier: Apache-2.0
"""Records that cannot be read are set aside and counted; nothing stops and nothing else changes."""

import random

import msgspec
from structlog.testing import capture_logs

from schemas import batch as batch_codec
from support.batches import Fleet
from support.consumer import World

DEEP = 1_000_000


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
    ]


def test_poison_is_set_aside_counted_and_stops_nothing(world: World) -> None:
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
        assert int(headers["bytes"]) in {len(value), DEEP}


def test_a_heartbeat_that_cannot_be_read_is_set_aside_too(world: World) -> None:
    fleet = Fleet(shards=world.shards)
    world.send(fleet.talk(5))
    world.beat(*fleet.heartbeat(0, 0))
    world.beat(b"alpha", b'{"type":"heartbeat","version":7}')
    world.beat(b"alpha", b"[" * DEEP)

    totals = world.consume()

    assert totals.poison == 2
    assert {headers["topic"] for headers, _ in world.poisoned()} == {world.control}
