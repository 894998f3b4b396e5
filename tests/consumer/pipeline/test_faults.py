# SPDX-License-Identifier: Apache-2.0
"""What Kafka does to a consumer that follows: brokers that restart, topics that are made anew under it."""

import os
import signal
import time
from pathlib import Path

from support.batches import Fleet
from support.consumer import Runner, World, wait_for
from support.kafka import KafkaNode
from support.topics import Topics

QUICK = ("consumer.idle-flush=300ms", "kafka.options.reconnect.backoff.max.ms=200")


def test_a_broker_that_is_killed_and_comes_back_costs_time_only(
    kafka_node: KafkaNode, tmp_path: Path
) -> None:
    world = World(kafka_node.bootstrap, Topics(kafka_node.bootstrap), tmp_path)
    fleet = Fleet(shards=world.shards)
    with Runner(world) as runner:
        pid = runner.start(*QUICK, until_end=False)
        world.send(fleet.talk(20))
        wait_for(lambda: world.matched() == fleet.sends)
        kafka_node.kill()
        time.sleep(1)
        kafka_node.start()
        world.send(fleet.talk(20))
        wait_for(lambda: world.matched() == fleet.sends)
        assert runner.stop(pid) == 0

    assert len(world.rows("match")) == fleet.sends


def test_a_topic_made_anew_under_a_running_consumer_ends_it_with_exit_code_2(
    world: World, topics: Topics
) -> None:
    fleet = Fleet(shards=world.shards)
    world.send(fleet.talk(20))
    with Runner(world) as runner:
        pid = runner.start(*QUICK, "kafka.options.topic.metadata.refresh.interval.ms=500", until_end=False)
        wait_for(lambda: world.matched() == fleet.sends)
        before = fleet.sends
        os.kill(pid, signal.SIGSTOP)  # it is never to see the moment without the topic
        topics.delete(world.events)
        topics.create(world.events, world.shards, {"message.timestamp.type": "LogAppendTime"})
        os.kill(pid, signal.SIGCONT)
        for _ in range(3):
            world.send(fleet.talk(20))
        code = runner.wait()

    assert code == 2, runner.output.read_text()
    assert "created anew" in runner.output.read_text()
    assert len(world.rows("match")) == before


def test_a_member_killed_again_and_again_loses_nothing(world: World) -> None:
    fleet = Fleet(shards=world.shards)
    quick = (*QUICK, "consumer.instance-id=one", "consumer.tick=20ms")
    with Runner(world) as runner:
        for seconds in (0.5, 0.8, 1.1, 0.6, 0.9):
            pid = runner.start(*quick, until_end=False)
            world.send(fleet.talk(5))
            time.sleep(seconds)
            world.send(fleet.talk(5))
            assert runner.stop(pid, signal.SIGKILL) == -signal.SIGKILL
        pid = runner.start(*quick, until_end=False)
        wait_for(lambda: world.matched() == fleet.sends)
        assert runner.stop(pid) == 0

    assert len(world.rows("match")) == fleet.sends
    assert world.rows("unmatched") == []
