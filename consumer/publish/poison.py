# SPDX-License-Identifier: Apache-2.0
"""Records that could not be read, as they go to the poison topic: the value, and headers: where and why."""

from collections.abc import Iterable, Iterator

from consumer.engine import Poison
from consumer.publish.message import Outgoing
from consumer.source.topics import Partition

MAX_VALUE_BYTES = 900_000
"""A longer value is cut: brokers take about 1 MB unless told otherwise, and the original is in its topic."""
MAX_MESSAGE = 500


def outgoing(topic: str, origin: Partition, found: Iterable[Poison]) -> Iterator[Outgoing]:
    """Yield one record for each poison record of ``origin``."""
    for poison in found:
        headers = {
            "reason": poison.reason,
            "topic": origin.topic,
            "partition": str(origin.number),
            "kafka_offset": str(poison.kafka_offset),
            "message": poison.message[:MAX_MESSAGE],
            "bytes": str(len(poison.value)),
        }
        key = f"{origin.topic}/{origin.number}/{poison.kafka_offset}"
        yield Outgoing(topic, key.encode(), poison.value[:MAX_VALUE_BYTES], tuple(headers.items()))
