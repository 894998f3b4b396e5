# SPDX-License-Identifier: Apache-2.0
"""What a consumer's lag is measured against: the records that Kafka has, and for how long it keeps them.

Asked with one request a broker, however many partitions there are. What may not be asked is not known, which
is no error.
"""

from collections.abc import Iterable
from concurrent.futures import Future
from typing import NamedTuple

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # they are not in its __all__
    AdminClient,
    ConfigEntry,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)

from common.kafka_security import Options
from consumer.source.kafka import REQUEST_SECONDS, translated
from consumer.source.topics import Partition


class Span(NamedTuple):
    """Kafka offsets: of the first record there is, and the one after the last."""

    low: int
    high: int


class Keeping(NamedTuple):
    """For how long a topic keeps records."""

    milliseconds: int | None
    """None: for ever, or not known."""
    by_size: bool
    """Whether its size ends it as well, or may do so."""


NOT_KNOWN = Keeping(None, by_size=True)


class KafkaLag:
    """Asks brokers; joins nothing and reads no record."""

    def __init__(self, options: Options) -> None:
        with translated("Kafka client"):
            self._admin = AdminClient(options)
        self._asked: dict[str, Future[dict[str, ConfigEntry]]] = {}
        self._known: dict[str, Keeping] = {}

    def spans(self, partitions: Iterable[Partition]) -> dict[Partition, Span]:
        """Return what there is of each partition now; RuntimeFailure where no broker tells in time."""
        asked = [TopicPartition(*partition) for partition in partitions]
        lows = self._offsets(asked, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        highs = self._offsets(asked, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return {partition: Span(lows[partition], highs[partition]) for partition in lows}

    def keeping(self, topic: str) -> Keeping:
        """Return how long a topic keeps its records, as told since the last call; never waits."""
        asked = self._asked.get(topic)
        if asked is not None and asked.done():
            self._known[topic] = _keeping(asked)
        if asked is None or asked.done():
            resource = ConfigResource(ResourceType.TOPIC, topic)
            (self._asked[topic],) = self._admin.describe_configs([resource]).values()
        return self._known.get(topic, NOT_KNOWN)

    def _offsets(self, asked: list[TopicPartition], spec: OffsetSpec) -> dict[Partition, int]:
        wanted = dict.fromkeys(asked, spec)
        found = {}
        for one, future in self._admin.list_offsets(wanted, request_timeout=REQUEST_SECONDS).items():
            with translated(f"offsets of {one.topic} partition {one.partition}"):
                found[Partition(one.topic, one.partition)] = future.result().offset
        return found


def _keeping(told: "Future[dict[str, ConfigEntry]]") -> Keeping:
    try:
        found = {name: str(entry.value) for name, entry in told.result().items()}
        milliseconds, size = int(found["retention.ms"]), int(found["retention.bytes"])
        deletes = "delete" in found["cleanup.policy"]
    except (KafkaException, KeyError):  # no right to ask, or the in-process broker
        return NOT_KNOWN
    return Keeping(milliseconds if deletes and milliseconds > 0 else None, by_size=deletes and size >= 0)
