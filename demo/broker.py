# SPDX-License-Identifier: Apache-2.0
"""The demo's broker: the one inside librdkafka, good for showing only (a real one: ``make kafka``)."""

from confluent_kafka import Consumer, Producer, TopicPartition

SHARDS = 4
"""The in-process broker gives every topic four partitions."""


class InProcessBroker:
    """A Kafka broker that lives as long as this object."""

    def __init__(self) -> None:
        options = {"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 3}
        self._producer = Producer(options)
        broker = next(iter(self._producer.list_topics(timeout=10).brokers.values()))
        self.address = f"{broker.host}:{broker.port}"


def records(address: str, topic: str) -> list[bytes]:
    """Return the values of all records of a topic on the broker at ``address``."""
    options = {
        "bootstrap.servers": address,
        "group.id": "demo-look",
        "auto.offset.reset": "error",
        "log_level": 3,
    }
    consumer = Consumer(options)
    values: list[bytes] = []
    try:
        for partition in range(SHARDS):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            consumer.assign([TopicPartition(topic, partition, low)])
            while low < high:
                for message in consumer.consume(high - low, timeout=10):
                    values.append(message.value() or b"")
                    low = (message.offset() or 0) + 1
    finally:
        consumer.close()
    return values
