# SPDX-License-Identifier: Apache-2.0
"""Is this topic the one that the settings and the lake speak of? Pure checks; every refusal names its remedy.

A partition of a topic that has another number of partitions, another identity or lost records we had not read
is never consumed: the two ends of a connection would part, or old positions would point into new records.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from common.errors import ConfigError, TopicMismatchError

OnTruncated = Literal["stop", "skip-and-count"]


class Partition(NamedTuple):
    """One partition of one topic, by name."""

    topic: str
    number: int


class Topic(NamedTuple):
    """What the broker says of a topic: its id is new whenever the topic is created anew."""

    id: str
    partitions: int


class Mark(NamedTuple):
    """What a group noted for one partition, for lag tools: the next Kafka offset and a remark."""

    next_offset: int
    remark: str


def check_partitions(name: str, topic: Topic, wanted: int, setting: str) -> None:
    """Raise TopicMismatchError where the topic has not as many partitions as ``setting`` says."""
    if topic.partitions != wanted:
        more = "; partitions that were added cannot be taken away, so that takes another topic"
        raise TopicMismatchError(
            f"topic {name} has {topic.partitions} partitions, {setting} says {wanted}. Both ends of a "
            "connection meet in one partition only where agents, topic and consumers agree: "
            f"set {setting} to what the agents use, or create the topic with that many partitions"
            f"{more if topic.partitions > wanted else ''}"
        )


def check_identity(name: str, topic: Topic, known: set[str], *, accept_new: bool) -> None:
    """Raise TopicMismatchError where the lake was filled from another topic of the same name."""
    if not known or topic.id in known or accept_new:
        return
    raise TopicMismatchError(
        f"topic {name} was created anew: its id is {topic.id}, the lake was filled from "
        f"{', '.join(sorted(known))}. Old positions mean nothing in it. To go on in this lake from the new "
        "topic's beginning set consumer.accept-new-topic = true; else choose a new lake (lake.uri)"
    )


def check_unchanged(known: Mapping[str, Topic], now: Mapping[str, Topic]) -> None:
    """Raise TopicMismatchError where a topic was created anew while it was being read."""
    for name, topic in known.items():
        if now[name].id != topic.id:
            raise TopicMismatchError(
                f"topic {name} was created anew while it was being read (id {topic.id}, now {now[name].id}): "
                "nothing of the new one was committed. Start again to be told the remedy"
            )


def check_position(
    partition: Partition, position: int, low: int, high: int, policy: OnTruncated = "stop"
) -> int:
    """Return the Kafka offset to go on at: ``position``, or where ``policy`` jumps to from one that is gone.

    Raises:
        ConfigError: the broker has no longer what comes after the position, and the policy is to stop.
    """
    if low <= position <= high:
        return position
    if policy == "skip-and-count":
        return low if position < low else high
    what = f"topic {partition.topic} partition {partition.number}: the lake stands at Kafka offset {position}"
    remedy = (
        'To go on without them set consumer.on-truncated = "skip-and-count", which puts what is missing into '
        "the ledger; else choose a new lake (lake.uri), which starts at the first record that is left"
    )
    if position < low:
        raise ConfigError(
            f"{what}, the broker's first record is {low}: {low - position} records were deleted before they "
            f"were read (retention is shorter than the consumer's lag). {remedy}"
        )
    raise ConfigError(
        f"{what}, the broker's end is {high}: the broker lost records that it had acknowledged. {remedy}"
    )
