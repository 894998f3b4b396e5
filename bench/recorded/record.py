# SPDX-License-Identifier: Apache-2.0
"""Copy an events topic into a file: ``python -m bench.recorded.record HOST:PORT FILE [TOPIC]``."""

import sys
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from bench.recorded import write


def records(bootstrap: str, topic: str) -> Iterator[tuple[int, bytes]]:
    """Yield (partition, value) of all that is in a topic now."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "record", "enable.auto.commit": False})
    try:
        for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            consumer.assign([TopicPartition(topic, number, low)])
            while low < high:
                for message in consumer.consume(min(500, high - low), timeout=10):
                    yield number, message.value() or b""
                    low = (message.offset() or 0) + 1
    finally:
        consumer.close()


def main() -> None:
    """Write the file and say how many records are in it."""
    bootstrap, path, *topic = sys.argv[1:]
    print(write(Path(path), records(bootstrap, *topic or ["wirelag.events.v1"])), "records")


if __name__ == "__main__":
    main()
