# SPDX-License-Identifier: Apache-2.0
"""A consumer killed at every point of a commit leaves the lake, in the end, as an undisturbed one would."""

import random

import pytest

from lake.facts import TRACE_POINTS
from schemas.tables import KINDS
from support.batches import Fleet
from support.consumer import Runner, World
from support.topics import Topics

SMALL_CYCLES = ("consumer.poll-records=4", "consumer.cycle-bytes=1B", "consumer.tick=20ms")
KILLED = -9


def assert_same_lakes(world: World, one: str, other: str) -> None:
    for kind in KINDS:
        if kind != "progress":
            assert world.rows(kind, one) == world.rows(kind, other), kind


def assert_chained(world: World, lake: str) -> None:
    """Progress rows of a partition follow on one another: no Kafka offset in two of them, none left out."""
    position: dict[tuple[str, int], int] = {}
    rows = [dict(zip(KINDS["progress"].names, row, strict=False)) for row in world.rows("progress", lake)]
    for row in sorted(rows, key=lambda row: (row["from_offset"], row["to_offset"])):
        key = row["topic"], row["topic_partition"]
        assert position.get(key, 0) == row["from_offset"]
        position[key] = row["to_offset"]


@pytest.mark.slow
def test_kills_at_every_point_leave_the_rows_of_an_undisturbed_run(world: World, topics: Topics) -> None:
    fleet = Fleet(shards=world.shards, turns=True)
    for round_ in range(50):
        world.send(fleet.talk(8))
        world.beat(*fleet.heartbeat(0, sequence=round_))
    world.send([(1, b"not a batch")])
    world.consume("consumer.tick=20ms", lake="undisturbed")
    undisturbed = {record.record_id: record for record in world.latencies()}
    world.latency = topics("latency", 2)
    chosen = random.Random(7)  # noqa: S311 - not for secrets
    kills = [(point, chosen.randint(1, 3)) for point in TRACE_POINTS for _ in range(5)]
    chosen.shuffle(kills)

    with Runner(world) as runner:
        codes = [runner.run(*SMALL_CYCLES, lake="killed", kill=kill) for kill in kills]
        assert codes.count(KILLED) >= 35, f"{codes} {runner.output.read_text()}"
        assert runner.run("consumer.tick=20ms", lake="killed") == 0

    assert len(world.rows("match", "killed")) == fleet.sends
    assert len(world.rows("close", "killed")) == 50 * 2 * world.shards * fleet.connections
    assert_same_lakes(world, "undisturbed", "killed")
    assert_chained(world, "killed")
    published = world.latencies()
    assert {record.record_id for record in published} == set(undisturbed), "none missing, ids as before"
    assert all(record == undisturbed[record.record_id] for record in published)
