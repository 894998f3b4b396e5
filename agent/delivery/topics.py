# SPDX-License-Identifier: Apache-2.0
"""Do Kafka's topics fit the settings? What is refused, with the remedy. Pure: the client asks elsewhere."""

from common.errors import RuntimeFailure, TopicMismatchError


def require_shards(topic: str, partitions: int, shards: int) -> None:
    """Raise TopicMismatchError where a topic has another number of partitions than there are shards."""
    if partitions != shards:
        raise TopicMismatchError(
            f"topic {topic} has {partitions} partitions, kafka.shards is {shards}: "
            f"set it to {partitions} on every agent and consumer, or use a new topic"
        )


def missing(bootstrap: str, topic: str, said: str, partitions: int) -> RuntimeFailure:
    """Return the error for a topic that cannot be had; ``said`` is Kafka's word, the rest is the remedy."""
    plural = "s" if partitions > 1 else ""
    return RuntimeFailure(
        f"Kafka at {bootstrap}: topic {topic}: {said}; "
        f"create it with {partitions} partition{plural} (wirelag topics create)"
    )
