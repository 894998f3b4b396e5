# SPDX-License-Identifier: Apache-2.0
"""Heartbeats that cannot be read are set aside and counted, like batches (tests/faults/test_poison.py)."""

from support.batches import Fleet
from support.consumer import World

DEEP = 1_000_000


def test_a_heartbeat_that_cannot_be_read_is_set_aside_too(world: World) -> None:
    fleet = Fleet(shards=world.shards)
    world.send(fleet.talk(5))
    world.beat(*fleet.heartbeat(0, 0))
    world.beat(b"alpha", b'{"type":"heartbeat","version":7}')
    world.beat(b"alpha", b"[" * DEEP)

    totals = world.consume()

    assert totals.poison == 2
    assert {headers["topic"] for headers, _ in world.poisoned()} == {world.control}
