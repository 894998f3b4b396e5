# SPDX-License-Identifier: Apache-2.0
"""A member that stood still for longer than its session: another has its partitions when it wakes."""

import os
import signal

import pytest

from support.batches import Fleet
from support.consumer import Runner, World, halted, read_kind, wait_for

QUICK = (
    "consumer.idle-flush=300ms",
    "consumer.tick=20ms",
    "kafka.options.session.timeout.ms=3000",
    "kafka.options.heartbeat.interval.ms=500",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "refusal"), [("before-state", "StalePositionError"), ("after-check", "CommitUnknownError")]
)
def test_who_wakes_in_a_commit_after_its_session_commits_nothing(
    world: World, point: str, refusal: str
) -> None:
    fleet = Fleet(shards=world.shards)
    world.send(fleet.talk(20))
    world.consume("consumer.tick=20ms")
    world.send(fleet.talk(20))
    with Runner(world) as first, Runner(world) as second:
        zombie = first.start(*QUICK, until_end=False, halt=(point, 1))
        wait_for(lambda: halted(zombie))
        heir = second.start(*QUICK, until_end=False)
        wait_for(lambda: world.matched() == fleet.sends)

        os.kill(zombie, signal.SIGCONT)
        wait_for(lambda: refusal in first.output.read_text())
        world.send(fleet.talk(20))
        wait_for(lambda: world.matched() == fleet.sends)
        assert (first.stop(zombie), second.stop(heir)) == (0, 0)

    assert len(world.rows("match")) == fleet.sends
    assert world.rows("unmatched") == []
    told = read_kind(world.folder / "lake", "ledger").select(["reason", "events"]).to_pylist()
    assert {row["reason"] for row in told} == {"stored"}
    assert sum(row["events"] for row in told) == fleet.events
