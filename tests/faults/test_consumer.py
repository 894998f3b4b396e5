# SPDX-License-Identifier: Apache-2.0
"""Consumers that are killed, halted, doubled and pushed around, under both group protocols.

What was produced is stored once, whatever happens to whom.
"""

import os
import random
import signal
import time
from itertools import cycle

import pytest

from lake.facts import TRACE_POINTS
from support.accounts import Account, account, repeated
from support.batches import Fleet
from support.consumer import Runner, World, halted, wait_for
from support.faults import Faults

SMALL = ("consumer.poll-records=4", "consumer.cycle-bytes=1B", "consumer.tick=20ms")
QUICK = ("consumer.idle-flush=200ms", "consumer.tick=20ms", "kafka.options.reconnect.backoff.max.ms=200")
SHORT_SESSION = ("kafka.options.session.timeout.ms=1500", "kafka.options.heartbeat.interval.ms=300")
CLASSIC = ("consumer.instance-id=one",)
NEWER = ("consumer.group-protocol=consumer",)


def settled(world: World, fleet: Fleet) -> Account:
    """Return the account once all that was sent is matched, and require that nothing is there twice."""
    wait_for(lambda: world.matched() >= fleet.sends, seconds=300)
    told = account(world.folder / "lake")
    assert len(world.rows("match")) == fleet.sends
    assert world.rows("unmatched") == []
    return told


def talk_on(world: World, fleet: Fleet) -> None:
    """Send over several ticks of the broker's time, so that the first commit holds matches."""
    for _ in range(8):
        world.send(fleet.talk(4))
        time.sleep(0.03)


def tell(faults: Faults, what: str, fleet: Fleet, told: Account, **more: float) -> None:
    faults.tell(
        what,
        events=fleet.events,
        stored=told.stored,
        lost=told.lost,
        duplicates=told.duplicates,
        recovery_seconds=more.get("seconds"),
        times=int(more.get("times", 1)),
    )


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("protocol", "group", "quick"), [("classic", CLASSIC, 4), ("KIP-848", NEWER, 1)])
def test_members_killed_at_every_point_of_a_commit_store_each_event_once(
    world: World, runner: Runner, faults: Faults, protocol: str, group: tuple[str, ...], quick: int
) -> None:
    """A static member has its partitions back at once; of KIP-848 the next waits for the session's end."""
    fleet, times = Fleet(shards=world.shards), faults.times(50, quick)
    chosen = random.Random(11)  # noqa: S311 - not for secrets
    points = list(TRACE_POINTS)
    chosen.shuffle(points)
    for _, point in zip(range(times), cycle(points), strict=False):
        pid = runner.start(*QUICK, *SMALL, *group, until_end=False, kill=(point, chosen.randint(1, 3)))
        for _ in range(4):
            world.send(fleet.talk(3))
        assert pid
        assert runner.wait() == -signal.SIGKILL
    begun = time.monotonic()
    pid = runner.start(*QUICK, *group, until_end=False)
    told = settled(world, fleet)
    seconds = time.monotonic() - begun
    assert runner.stop(pid) == 0
    tell(faults, f"consumer killed in a commit ({protocol})", fleet, told, seconds=seconds, times=times)


@pytest.mark.parametrize("group", [(), NEWER], ids=["classic", "KIP-848"])
def test_a_member_that_joins_and_leaves_again_and_again_costs_time_only(
    world: World, runner: Runner, other: Runner, faults: Faults, group: tuple[str, ...]
) -> None:
    """Every other time it is killed while it has partitions."""
    fleet, times = Fleet(shards=world.shards), faults.times(20, 2)
    protocol = "KIP-848" if group else "classic"
    pid = runner.start(*QUICK, *SHORT_SESSION[: 0 if group else 2], *group, until_end=False)
    for number in range(times):
        visitor = other.start(*QUICK, *SHORT_SESSION[: 0 if group else 2], *group, until_end=False)
        until = time.monotonic() + (2 if faults.full else 0.5)
        while time.monotonic() < until or "taken over" not in other.output.read_text():
            world.send(fleet.talk(3))
            time.sleep(0.05)  # the pace of the load
        assert other.stop(visitor, signal.SIGKILL if number % 2 else signal.SIGTERM) in {0, -9}
    told = settled(world, fleet)
    assert runner.stop(pid) == 0
    tell(faults, f"a member joins and leaves every 2 s ({protocol})", fleet, told, times=times)


@pytest.mark.parametrize(
    ("point", "refusal", "group"),
    [
        ("before-state", "StalePositionError", SHORT_SESSION),
        ("after-check", "CommitUnknownError", NEWER),
    ],
)
def test_who_wakes_in_a_commit_after_its_session_commits_nothing(
    world: World,
    runner: Runner,
    other: Runner,
    faults: Faults,
    point: str,
    refusal: str,
    group: tuple[str, ...],
) -> None:
    fleet = Fleet(shards=world.shards)
    talk_on(world, fleet)
    zombie = other.start(*QUICK, *group, until_end=False, halt=(point, 1))
    wait_for(lambda: halted(zombie))
    heir = runner.start(*QUICK, *group, until_end=False)
    settled(world, fleet)
    os.kill(zombie, signal.SIGCONT)
    wait_for(lambda: refusal in other.output.read_text())
    world.send(fleet.talk(20))
    told = settled(world, fleet)
    assert (other.stop(zombie), runner.stop(heir)) == (0, 0)
    protocol = "KIP-848" if group == NEWER else "classic"
    tell(faults, f"zombie woke at {point} of a commit beside its heir ({protocol})", fleet, told)


def test_without_the_check_the_one_that_wakes_stores_all_again(
    world: World, runner: Runner, other: Runner
) -> None:
    """The control of the tests above: they would see it."""
    fleet = Fleet(shards=world.shards)
    talk_on(world, fleet)
    zombie = other.start(*QUICK, *SHORT_SESSION, until_end=False, halt=("before-state", 1), unchecked=True)
    wait_for(lambda: halted(zombie))
    heir = runner.start(*QUICK, *SHORT_SESSION, until_end=False)
    settled(world, fleet)
    os.kill(zombie, signal.SIGCONT)
    wait_for(lambda: repeated(world.folder / "lake") > 0)
    assert other.stop(zombie, signal.SIGKILL) == -9
    assert runner.stop(heir, signal.SIGKILL) == -9


def test_two_consumers_that_both_read_every_partition_store_each_event_once(
    world: World, runner: Runner, other: Runner, faults: Faults
) -> None:
    """In no group, each told to read all: only the lake is between them."""
    fleet = Fleet(shards=world.shards)
    for _ in range(8):
        world.send(fleet.talk(4))
    other.start(*SMALL, "consumer.cycle=20ms")
    runner.start(*SMALL, "consumer.cycle=20ms")
    assert 0 in {other.wait(), runner.wait()}
    assert runner.run(*SMALL) == 0
    tell(faults, "two consumers on every partition", fleet, settled(world, fleet))
