# SPDX-License-Identifier: Apache-2.0
"""What a topic holds, as any consumer sees it."""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

PATIENCE_SECONDS = 60.0


def bounds(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """Return a partition's first offset and the one after its last; a broker may just be taking it over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return consumer.get_watermark_offsets(place, timeout=PATIENCE_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def values(bootstrap: str, topic: str, partition: int) -> list[bytes]:
    """Return all values of one partition, in order."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "look", "enable.auto.commit": False})
    found: list[bytes] = []
    try:
        low, high = bounds(consumer, TopicPartition(topic, partition))
        consumer.assign([TopicPartition(topic, partition, low)])
        while len(found) < high - low:
            message = consumer.poll(PATIENCE_SECONDS)
            assert message is not None
            assert message.error() is None
            found.append(message.value() or b"")
    finally:
        consumer.close()
    return found
