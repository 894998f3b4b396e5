# SPDX-License-Identifier: Apache-2.0
"""Topics that are not what the settings and the lake say are refused, with the way out in the message."""

import pytest

from common.errors import ConfigError, TopicMismatchError
from consumer.source.topics import (
    Partition,
    Topic,
    check_identity,
    check_partitions,
    check_position,
    check_unchanged,
)
from support.batches import Fleet
from support.consumer import Runner, World
from support.topics import Topics

HERE = Partition("events", 3)


def test_a_topic_with_as_many_partitions_as_shards_is_taken() -> None:
    check_partitions("events", Topic("a", 12), 12, "kafka.shards")


def test_another_number_of_partitions_is_refused_with_both_numbers() -> None:
    with pytest.raises(TopicMismatchError, match=r"events has 8 partitions, kafka\.shards says 12"):
        check_partitions("events", Topic("a", 8), 12, "kafka.shards")


@pytest.mark.parametrize(
    ("known", "accept"), [(set(), False), ({"a"}, False), ({"a", "b"}, False), ({"b"}, True)]
)
def test_a_topic_the_lake_knows_or_may_take_is_taken(known: set[str], accept: bool) -> None:  # noqa: FBT001
    check_identity("events", Topic("a", 12), known, accept_new=accept)


def test_a_topic_made_anew_is_refused_with_the_setting_that_takes_it() -> None:
    with pytest.raises(TopicMismatchError, match=r"created anew.*accept-new-topic = true.*lake\.uri"):
        check_identity("events", Topic("a", 12), {"b"}, accept_new=False)


def test_a_topic_made_anew_while_it_is_read_is_refused() -> None:
    check_unchanged({"events": Topic("a", 1)}, {"events": Topic("a", 1)})
    with pytest.raises(TopicMismatchError, match="while it was being read"):
        check_unchanged({"events": Topic("a", 1)}, {"events": Topic("b", 1)})


@pytest.mark.parametrize("position", [5, 7, 9])
def test_a_position_the_broker_still_has_is_taken(position: int) -> None:
    check_position(HERE, position, low=5, high=9)


def test_records_deleted_before_they_were_read_are_told_by_number() -> None:
    with pytest.raises(ConfigError, match="3 records were deleted before they were read"):
        check_position(HERE, 2, low=5, high=9)


def test_a_broker_that_lost_records_is_refused() -> None:
    with pytest.raises(ConfigError, match="lost records"):
        check_position(HERE, 10, low=5, high=9)


@pytest.mark.parametrize(("position", "to"), [(2, 5), (5, 5), (9, 9), (10, 9)])
def test_where_it_is_to_skip_it_goes_on_at_the_nearest_record_there_is(position: int, to: int) -> None:
    assert check_position(HERE, position, low=5, high=9, policy="skip-and-count") == to


@pytest.mark.parametrize("until_end", [True, False])
def test_the_wrong_number_of_shards_ends_with_exit_code_2(world: World, until_end: bool) -> None:  # noqa: FBT001
    with Runner(world) as runner:
        runner.start("kafka.shards=12", until_end=until_end)
        assert runner.wait() == 2
    assert "has 4 partitions, kafka.shards says 12" in runner.output.read_text()


def test_a_missing_topic_ends_with_exit_code_2(world: World) -> None:
    with Runner(world) as runner:
        assert runner.run("kafka.events-topic=no-such-topic") == 2
    assert "no-such-topic: does not exist" in runner.output.read_text()


def test_a_topic_created_anew_ends_with_exit_code_2_and_the_remedy(world: World, topics: Topics) -> None:
    world.send(Fleet(shards=world.shards).talk(5))
    world.consume()
    topics.delete(world.events)
    topics.create(world.events, world.shards, {"message.timestamp.type": "LogAppendTime"})
    fleet = Fleet(shards=world.shards, seed=1)
    for _ in range(3):  # longer than the stored position: offsets alone would not show it
        world.send(fleet.talk(5))

    with Runner(world) as runner:
        assert runner.run() == 2
        assert "created anew" in runner.output.read_text()
        assert "accept-new-topic = true" in runner.output.read_text()
        assert runner.run("consumer.accept-new-topic=true") == 0
    assert len(world.rows("match")) > fleet.sends


@pytest.mark.parametrize("setting", ["kafka.poison-topic", "kafka.latency-topic"])
def test_a_missing_topic_of_ours_is_told_before_anything_is_read(world: World, setting: str) -> None:
    world.send(Fleet(shards=world.shards).talk(5))
    with pytest.raises(ConfigError, match="absent: does not exist"):
        world.consume(f"{setting}=absent")
