# SPDX-License-Identifier: Apache-2.0
"""What a topic holds, as any consumer sees it."""

from confluent_kafka import Consumer, TopicPartition


def values(bootstrap: str, topic: str, partition: int) -> list[bytes]:
    """Return all values of one partition, in order."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "look", "enable.auto.commit": False})
    found: list[bytes] = []
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
        consumer.assign([TopicPartition(topic, partition, low)])
        while len(found) < high - low:
            message = consumer.poll(20)
            assert message is not None
            assert message.error() is None
            found.append(message.value() or b"")
    finally:
        consumer.close()
    return found
