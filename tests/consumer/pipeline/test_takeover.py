# SPDX-License-Identifier: Apache-2.0
"""State and position are in the lake alone: any process, however it reads, goes on to the same rows."""

import random
import time

import pytest

from common.errors import RuntimeFailure
from lake.facts import Facts
from schemas.tables import KINDS
from support.batches import Fleet
from support.consumer import World


def assert_same(world: World, one: str, other: str) -> None:
    for kind in KINDS:
        if kind != "progress":
            assert world.rows(kind, one) == world.rows(kind, other), kind


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_rows_are_the_same_however_reading_is_cut(world: World, seed: int) -> None:
    fleet = Fleet(shards=world.shards, seed=seed)
    for _ in range(20):
        world.send(fleet.talk(5))
        time.sleep(0.01)
    chosen = random.Random(seed)  # noqa: S311 - not for secrets

    world.consume("consumer.tick=20ms", lake="whole")
    for cut in ("first", "second"):
        records, size = chosen.randint(1, 40), chosen.choice(["1B", "1kB", "20kB"])
        world.consume(
            f"consumer.poll-records={records}",
            f"consumer.cycle-bytes={size}",
            "consumer.tick=20ms",
            lake=cut,
        )
        assert_same(world, "whole", cut)


def test_a_commit_that_fails_is_done_again_from_the_lake(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(shards=world.shards)
    for _ in range(10):
        world.send(fleet.talk(8))
    real, calls = Facts.commit, iter(range(1_000))

    def flaky(self: Facts, parts: object) -> int:
        number = next(calls)
        if number % 4 == 1:
            raise RuntimeFailure("the disk is away")
        version = real(self, parts)  # type: ignore[arg-type]
        if number % 4 == 3:
            raise RuntimeFailure("the answer was lost")
        return version

    world.consume("consumer.tick=20ms", lake="one")
    monkeypatch.setattr(Facts, "commit", flaky)
    world.consume(
        "consumer.poll-records=8", "consumer.cycle-bytes=1B", "consumer.tick=20ms", "consumer.cycle=1ms"
    )
    monkeypatch.undo()

    assert_same(world, "one", "lake")
