# SPDX-License-Identifier: Apache-2.0
"""Orders to agents stand beside the heartbeats; the consumer passes them over, they are not its business."""

import pytest

from schemas import example, order
from support.batches import Fleet
from support.consumer import Runner, World, wait_for

ORDER = (example.order().key(), order.encode(example.order()))


def test_orders_are_neither_stored_nor_poison(world: World) -> None:
    fleet = Fleet(shards=world.shards)
    talk = list(fleet.talk(5))
    world.send(talk)
    for _ in range(3):
        world.beat(*ORDER, order.ORDERS)
    world.beat(*fleet.heartbeat(0, sequence=0))

    totals = world.consume()

    assert (totals.records, totals.poison) == (len(talk) + 1, 0)
    assert world.poisoned() == []
    assert len(world.rows("ledger")) > 0


def test_an_order_where_heartbeats_belong_is_poison(world: World) -> None:
    world.beat(*ORDER, order.HEARTBEATS)
    assert world.consume().poison == 1


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_reads_on_past_orders(world: World, protocol: str) -> None:
    fleet = Fleet(shards=world.shards)
    world.beat(*ORDER, order.ORDERS)
    with Runner(world) as runner:
        more = ("consumer.idle-flush=300ms", f"consumer.group-protocol={protocol}")
        pid = runner.start(*more, until_end=False)
        world.send(fleet.talk(20))
        world.beat(*fleet.heartbeat(0, sequence=0))
        wait_for(lambda: world.matched() == fleet.sends)
        world.beat(*ORDER, order.ORDERS)
        world.send(fleet.talk(20))
        wait_for(lambda: world.matched() == fleet.sends)
        assert runner.stop(pid) == 0
    assert world.poisoned() == []


def test_a_control_topic_of_one_partition_will_do(world: World) -> None:
    world.control = world.topics("control", 1, cleanup_policy="compact")
    fleet = Fleet(shards=world.shards)
    world.beat(*fleet.heartbeat(0, sequence=0))
    assert world.consume().records == 1
