# SPDX-License-Identifier: Apache-2.0
"""Topics that change under a consumer: records deleted or lost by the broker, topics made anew or widened."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from support.accounts import Account, account, events_below
from support.batches import Fleet
from support.consumer import Runner, World, halted, wait_for
from support.faults import Faults
from support.kafka import QUICK as QUICKLY
from support.kafka import KafkaNode
from support.topics import Topics
from wirelag.cli import main

SKIP = "consumer.on-truncated=skip-and-count"
QUICK = (
    "consumer.idle-flush=100ms",
    "consumer.tick=20ms",
    "kafka.options.topic.metadata.refresh.interval.ms=500",
)
TIMES = {"message.timestamp.type": "LogAppendTime"}


class Sender:
    """Sends rounds of traffic and keeps them."""

    def __init__(self, world: World) -> None:
        self.fleet = Fleet(shards=world.shards)
        self.sent: list[tuple[int, bytes]] = []
        self.world = world

    def __call__(self, rounds: int) -> None:
        for _ in range(rounds):
            new = list(self.fleet.talk(5))
            self.world.send(new)
            self.sent += new

    def tell(self, faults: Faults, what: str, seconds: float | None = None) -> Account:
        """Keep what became of all that was sent, and return it."""
        told = account(lake(self.world))
        faults.tell(
            what,
            events=self.fleet.events,
            stored=told.stored,
            lost=told.lost,
            duplicates=told.duplicates,
            recovery_seconds=seconds,
        )
        return told


def lake(world: World) -> Path:
    return world.folder / "lake"


def test_records_deleted_below_the_position_are_counted_and_the_rest_is_stored(
    world: World, runner: Runner, faults: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    """As retention does to a consumer that lags: partition 0 loses 3 records unread, partition 2 one."""
    send = Sender(world)
    send(1)
    assert runner.run() == 0
    send(2)
    world.delete_records(world.events, 0, before=5)
    world.delete_records(world.events, 2, before=3)
    assert runner.run() == 2
    assert 'consumer.on-truncated = "skip-and-count"' in runner.output.read_text()
    begun = time.monotonic()
    assert runner.run(SKIP) == 0
    seconds = time.monotonic() - begun
    send(1)  # whose batches say what is missing
    assert runner.run(SKIP) == 0

    told = send.tell(faults, "records deleted before they were read (4, by retention)", seconds)
    gone = events_below(send.sent, {0: (2, 5), 2: (2, 3)})
    assert told.records == {"truncated": 4}
    assert told.lost == {"consumer/gap": gone}
    capsys.readouterr()
    assert main(["query", "losses", "--lake", str(lake(world)), "--csv"]) == 0
    assert ",consumer,truncated,4" in capsys.readouterr().out


def test_records_deleted_while_it_stands_still_are_counted(
    world: World, runner: Runner, faults: Faults
) -> None:
    """What it had been sent before the deletion it may still read; the account is exact all the same."""
    send = Sender(world)
    send(1)
    pid = runner.start(SKIP, *QUICK, until_end=False)
    wait_for(lambda: world.matched() == send.fleet.sends)
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: halted(pid))
    send(30)
    for partition in range(world.shards):
        world.delete_records(world.events, partition, before=50)
    begun = time.monotonic()
    os.kill(pid, signal.SIGCONT)
    send(1)
    wait_for(lambda: account(lake(world)).records.get("truncated", 0) > 0)
    seconds = time.monotonic() - begun
    send(1)
    wait_for(lambda: _balanced(world, send))
    assert runner.stop(pid) == 0

    told = send.tell(faults, "records deleted below a running consumer that stood still", seconds)
    assert set(told.lost) == {"consumer/gap"}
    assert 0 < told.records["truncated"] <= 48 * world.shards


def test_records_deleted_while_it_stands_still_end_it_where_it_is_to_stop(
    world: World, runner: Runner
) -> None:
    send = Sender(world)
    send(1)
    pid = runner.start(*QUICK, until_end=False)
    wait_for(lambda: world.matched() == send.fleet.sends)
    stored = send.fleet.events
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: halted(pid))
    send(30)
    for partition in range(world.shards):
        world.delete_records(world.events, partition, before=62)
    os.kill(pid, signal.SIGCONT)
    send(1)
    assert runner.wait() == 2
    assert "were deleted before they were read" in runner.output.read_text()
    assert account(lake(world)).lost == {}
    assert account(lake(world)).stored >= stored


def _balanced(world: World, send: Sender) -> bool:
    told = account(lake(world))
    return told.stored + sum(told.lost.values()) == send.fleet.events


@pytest.fixture
def cut(kafka_node: KafkaNode, tmp_path: Path, runner: Runner, faults: Faults) -> list["Sender"]:
    """Two topics whose records were read when a power cut took the end of partition 1 from the broker's disk.

    A consumer of a third topic ran on meanwhile, which is told on the way.
    """
    sends = [Sender(_world(kafka_node, tmp_path / name)) for name in ("seen", "unseen", "apart")]
    for send in sends[:2]:
        send(10)
        runner.world = send.world
        assert runner.run() == 0
    apart = sends[2]
    apart(5)
    runner.world = apart.world
    pid = runner.start(*QUICK, until_end=False)
    wait_for(lambda: apart.world.matched() == apart.fleet.sends)
    kafka_node.kill()
    for send in sends[:2]:
        (file,) = (kafka_node.home / "data" / f"{send.world.events}-1").glob("*.log")
        os.truncate(file, file.stat().st_size // 2)
    kafka_node.start()
    begun = time.monotonic()
    apart(5)
    wait_for(lambda: apart.world.matched() == apart.fleet.sends)
    seconds = time.monotonic() - begun
    assert runner.stop(pid) == 0
    apart.tell(faults, "broker killed and restarted under a consumer", seconds)
    return sends


def test_records_that_a_broker_lost_after_they_were_read_stay_and_their_offsets_are_read_again(
    cut: list["Sender"], runner: Runner, faults: Faults
) -> None:
    """The position is above the broker's end and new records take the old offsets.

    In one topic that is seen. In the other the end has passed the position by the time anybody looks: there
    the batches' own counts tell what was passed over.
    """
    seen, unseen, _ = cut
    runner.world = unseen.world
    unseen(20)
    assert runner.run() == 0
    runner.world = seen.world
    assert runner.run() == 2
    assert "lost records that it had acknowledged" in runner.output.read_text()
    begun = time.monotonic()
    assert runner.run(SKIP) == 0
    seconds = time.monotonic() - begun
    seen(6)  # past the old position: from here on offsets alone would show nothing
    assert runner.run() == 0
    seen(1)
    assert runner.run(SKIP) == 0

    text = "broker lost acknowledged records that were read (power cut), their offsets used again"
    kept = seen.tell(faults, f"{text}; looked at once", seconds)
    assert (kept.lost, kept.records) == ({}, {})
    assert len(seen.world.rows("match")) == seen.fleet.sends
    passed = unseen.tell(faults, f"{text}; looked later")
    assert passed.lost["consumer/gap"] > 0


def _world(node: KafkaNode, folder: Path) -> World:
    folder.mkdir()
    return World(node.bootstrap, Topics(node.bootstrap), folder)


def _longer(world: World) -> None:
    _anew(world, 5)


def _shorter(world: World) -> None:
    _anew(world, 0)


def _anew(world: World, rounds: int) -> None:
    world.topics.delete(world.events)
    world.topics.create(world.events, world.shards, TIMES)
    fleet = Fleet(shards=world.shards, seed=1)
    for _ in range(rounds):
        world.send(fleet.talk(5))


def _gone(world: World) -> None:
    world.topics.delete(world.events)


def _wider(world: World) -> None:
    admin = AdminClient({"bootstrap.servers": world.bootstrap, **QUICKLY})
    admin.create_partitions([NewPartitions(world.events, world.shards + 2)])[world.events].result(60)


CHANGES = [
    ("topic deleted and made anew, longer, under a consumer", _longer, "created anew"),
    ("topic deleted and made anew, shorter, under a consumer", _shorter, "created anew"),
    ("topic deleted under a consumer", _gone, "does not exist"),
    ("partitions added under a consumer", _wider, "has 6 partitions, kafka.shards says 4"),
]


@pytest.mark.parametrize(("fault", "change", "message"), CHANGES)
def test_another_topic_under_the_old_name_is_refused(
    world: World,
    runner: Runner,
    faults: Faults,
    fault: str,
    change: Callable[[World], None],
    message: str,
) -> None:
    """By a consumer that has nothing to do, and whatever the policy; and again at the next start."""
    send = Sender(world)
    send(3)
    pid = runner.start(SKIP, *QUICK, until_end=False)
    wait_for(lambda: world.matched() == send.fleet.sends)
    os.kill(pid, signal.SIGSTOP)  # it is to see no moment in between
    wait_for(lambda: halted(pid))
    change(world)
    os.kill(pid, signal.SIGCONT)
    assert runner.wait() == 2, runner.output.read_text()
    assert message in runner.output.read_text()
    assert runner.run(SKIP) == 2
    assert message in runner.output.read_text()
    assert len(world.rows("match")) == send.fleet.sends
    send.tell(faults, fault)
