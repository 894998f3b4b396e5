# SPDX-License-Identifier: Apache-2.0
"""From records in a real Kafka to rows in a lake and latencies in a topic."""

import time
from collections import Counter

import pytest

from support.batches import Fleet
from support.consumer import Runner, World, wait_for


def test_every_send_of_complete_traffic_is_matched_once(world: World) -> None:
    fleet = Fleet(shards=world.shards)
    for _ in range(5):
        world.send(fleet.talk(20))
    for host in (0, 1):
        world.beat(*fleet.heartbeat(host, sequence=0))

    totals = world.consume()

    assert (totals.events, totals.rows["match"], totals.rows["unmatched"]) == (fleet.events, fleet.sends, 0)
    assert totals.records == 5 * world.shards * 2 + 2
    assert len(world.rows("match")) == fleet.sends
    assert len(world.rows("connection")) == 2 * world.shards * fleet.connections


def test_turns_in_the_lives_of_connections_are_rows(world: World) -> None:
    """Of both ends; what was read again or later adds what is new and nothing else."""
    fleet = Fleet(shards=world.shards, turns=True)
    records = list(fleet.talk(5))
    world.send([*records, *records])
    world.consume()
    world.send(fleet.talk(5))

    totals = world.consume()

    connections = world.shards * fleet.connections
    found = {kind: len(world.rows(kind)) for kind in ("connect", "close", "retransmit", "connection")}
    assert found == dict(zip(found, [n * connections for n in (2, 4, 4, 2)], strict=True))
    assert totals.rows["match"] == fleet.sends // 2


def test_reading_to_the_end_again_adds_nothing(world: World) -> None:
    fleet = Fleet(shards=world.shards)
    world.send(fleet.talk(20))
    world.consume()
    before = [world.rows(kind) for kind in ("match", "histogram", "ledger", "progress")]

    again = world.consume()

    assert (again.records, again.commits) == (0, 0)
    assert [world.rows(kind) for kind in ("match", "histogram", "ledger", "progress")] == before


def test_traffic_that_comes_later_continues_the_same_flows(world: World) -> None:
    fleet = Fleet(shards=world.shards)
    world.send(fleet.talk(20))
    world.consume()
    world.send(fleet.talk(20))

    totals = world.consume()

    assert len(world.rows("match")) == fleet.sends
    assert totals.rows["unmatched"] == 0


def test_a_record_that_comes_twice_is_counted_and_dropped(world: World) -> None:
    fleet = Fleet(shards=world.shards)
    records = list(fleet.talk(20))
    world.send([*records, *records, *records[:3]])

    totals = world.consume()

    assert totals.rows["match"] == fleet.sends
    assert totals.events == fleet.events
    assert totals.duplicates > fleet.events


def test_latencies_are_published_for_every_histogram_row(world: World) -> None:
    fleet = Fleet(shards=world.shards)
    world.send(fleet.talk(50))
    world.consume()

    published = world.latencies()

    assert len(published) == len(world.rows("histogram"))
    assert len({record.record_id for record in published}) == len(published)
    delivered = [record for record in published if record.measure == "delivery"]
    assert sum(record.count for record in delivered) == fleet.sends
    assert all(r.min_ns <= r.p50_ns <= r.p90_ns <= r.p99_ns <= r.max_ns for r in delivered if r.count)


def test_publishing_can_be_turned_off(world: World) -> None:
    world.send(Fleet(shards=world.shards).talk(20))
    world.consume("consumer.publish=false")
    assert world.latencies() == []


def test_following_commits_what_comes_and_ends_on_sigterm(world: World) -> None:
    fleet = Fleet(shards=world.shards)
    world.send(fleet.talk(20))
    with Runner(world) as runner:
        pid = runner.start("consumer.idle-flush=300ms", until_end=False)
        wait_for(lambda: world.matched() == fleet.sends)
        world.send(fleet.talk(20))
        wait_for(lambda: world.matched() == fleet.sends)

        assert runner.stop(pid) == 0

    assert world.rows("unmatched") == []
    assert {record.record_id for record in world.latencies()}


def test_a_quiet_partition_is_flushed_once(world: World) -> None:
    fleet = Fleet(shards=world.shards)
    world.send(fleet.talk(20))
    with Runner(world) as runner:
        pid = runner.start("consumer.idle-flush=200ms", until_end=False)
        wait_for(lambda: world.matched() == fleet.sends)
        time.sleep(1.5)
        runner.stop(pid)

    flushes = Counter((row[1], row[2]) for row in world.rows("progress") if row[5])
    assert set(flushes.values()) == {1}, "one flush for each partition that had something open"


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_two_members_share_the_partitions_and_lose_nothing(world: World, protocol: str) -> None:
    fleet = Fleet(shards=world.shards)
    more = ("consumer.idle-flush=300ms", f"consumer.group-protocol={protocol}")
    with Runner(world) as first, Runner(world) as second:
        one = first.start(*more, until_end=False)
        world.send(fleet.talk(20))
        wait_for(lambda: world.matched() == fleet.sends)
        two = second.start(*more, until_end=False)
        for _ in range(10):
            world.send(fleet.talk(5))
            time.sleep(0.2)
        first.stop(one)
        world.send(fleet.talk(5))
        wait_for(lambda: world.matched() == fleet.sends)
        second.stop(two)

    assert len(world.rows("match")) == fleet.sends
