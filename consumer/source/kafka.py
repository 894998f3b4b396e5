# SPDX-License-Identifier: Apache-2.0
"""The one adapter to confluent-kafka's consumer: records in order, from where we say.

Positions come from the caller at every assignment. Every exception of the client leaves here as one of ours.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import structlog
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
    Uuid,
)
from confluent_kafka.admin import AdminClient

from common.errors import ConfigError, RuntimeFailure
from common.kafka_security import Options
from common.kafka_trouble import explained, kind, tells_a_cause, unusable
from common.throttle import Throttle
from consumer.engine import Record
from consumer.source.topics import Mark, Partition, Topic

REQUEST_SECONDS = 10.0
IN_PROCESS = "mockCluster"
"""How the cluster id of librdkafka's in-process broker begins."""
NO_TOPIC_ID = "no-topic-id"
"""Stands for the id where the broker tells none: librdkafka's in-process broker of the demo."""
_RIGHTS = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED})
_OUTRIGHT = _RIGHTS | frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - the client's own name for it
        KafkaError.SASL_AUTHENTICATION_FAILED,
    }
)
"""What does not get better by itself and is for a person to change."""

log = structlog.get_logger()


class Owner(Protocol):
    """Who is told which partitions are ours."""

    def assigned(self, partitions: list[Partition]) -> Mapping[Partition, int]:
        """Take these over; return the Kafka offset to read each from."""

    def revoked(self, partitions: list[Partition], *, lost: bool) -> None:
        """Let these go. ``lost``: another may hold them already."""


class KafkaSource:
    """One consumer, of a group or of all partitions it is given."""

    def __init__(self, options: Options, admin: Options) -> None:
        self._throttle = Throttle()
        self._options = {**options, "enable.partition.eof": True, "error_cb": self._hear}
        self._ends: dict[Partition, int] = {}
        self._astray: set[Partition] = set()
        self._in_process: bool | None = None
        self._why = ""
        try:
            self._consumer = Consumer(self._options, logger=logging.getLogger("librdkafka"))
            # Silent but for emergencies: nobody polls it for its lines, and the consumer has the same to say.
            self._admin = AdminClient({"log_level": 2, **admin, "error_cb": self._hear})  # type: ignore[dict-item]
        except KafkaException as error:
            raise ConfigError(f"Kafka client: {unusable(error.args[0].str(), admin)}") from error

    def describe(self, names: Iterable[str]) -> dict[str, Topic]:
        """Return what the broker says of these topics now; ConfigError where one does not exist."""
        if self._tells_no_ids():
            return {name: Topic(_stand_in(name), self._count_partitions(name)) for name in names}
        found = {}
        wanted = TopicCollection(list(names))
        for name, future in self._admin.describe_topics(wanted, request_timeout=REQUEST_SECONDS).items():
            with translated(f"topic {name}"):
                described = future.result()
                found[name] = Topic(topic_id(described.topic_id), len(described.partitions))
        return found

    def subscribe(self, topics: Iterable[str], owner: Owner) -> None:
        """Join the group; ``owner`` is called from within ``poll`` and ``close``."""

        def assigned(consumer: Consumer, given: list[TopicPartition]) -> None:
            offsets = owner.assigned(_partitions(given))
            consumer.incremental_assign(_positions(offsets))

        def revoked(consumer: Consumer, given: list[TopicPartition]) -> None:
            owner.revoked(_partitions(given), lost=False)
            consumer.incremental_unassign(given)

        def lost(consumer: Consumer, given: list[TopicPartition]) -> None:
            owner.revoked(_partitions(given), lost=True)
            consumer.incremental_unassign(given)

        with translated("subscribe"):
            self._consumer.subscribe(list(topics), on_assign=assigned, on_revoke=revoked, on_lost=lost)

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Read these partitions from these Kafka offsets, in no group."""
        with translated("assign"):
            self._consumer.assign(_positions(offsets))

    def poll(self, limit: int, timeout: float) -> dict[Partition, list[Record]]:
        """Return up to ``limit`` records, those of one partition in order; may call the owner."""
        with translated("reading"):
            messages = self._consumer.consume(limit, timeout)
        batches: dict[Partition, list[Record]] = {}
        for message in messages:
            error = message.error()
            if error is None:
                record = Record(message.offset() or 0, message.timestamp()[1], message.value() or b"")
                batches.setdefault(_origin(message), []).append(record)
            else:
                self._trouble(message, error)
        return batches

    def ends(self) -> dict[Partition, int]:
        """Return (and forget) the Kafka offsets of partition ends met by ``poll`` since the last call."""
        ends, self._ends = self._ends, {}
        return ends

    def astray(self) -> set[Partition]:
        """Return (and forget) the partitions whose reading ended since the broker has no record at our place.

        Nothing more comes of one until ``seek``.
        """
        astray, self._astray = self._astray, set()
        return astray

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Read on from these Kafka offsets."""
        for position in _positions(offsets):
            with translated(f"seek in {position.topic} partition {position.partition}"):
                try:
                    self._consumer.seek(position)
                except KafkaException as error:
                    if error.args[0].code() != KafkaError._STATE:  # noqa: SLF001 - the client's own name for it
                        raise
                    # Its reading has ended (`astray`): a seek is refused, a new start is not.
                    if _origin_of(position) in map(_origin_of, self._consumer.assignment()):
                        self._consumer.incremental_unassign([position])
                        self._consumer.incremental_assign([position])

    def watermarks(self, partition: Partition) -> tuple[int, int]:
        """Return the first Kafka offset there is and the one after the last, as the broker says now."""
        with translated(f"watermarks of {partition.topic} partition {partition.number}"):
            found = self._consumer.get_watermark_offsets(TopicPartition(*partition), timeout=REQUEST_SECONDS)
            if found is None:
                raise RuntimeFailure(f"no broker told the watermarks of {partition.topic} in time")
            return found

    def marks(self, partitions: Iterable[Partition]) -> dict[Partition, Mark]:
        """Return what the group noted for these partitions, where it did."""
        with translated("group offsets"):
            asked = [TopicPartition(*partition) for partition in partitions]
            noted = self._consumer.committed(asked, timeout=REQUEST_SECONDS)
        return {
            Partition(one.topic, one.partition): Mark(one.offset, one.metadata or "")
            for one in noted
            if one.offset >= 0
        }

    def mark(self, marks: Mapping[Partition, Mark]) -> None:
        """Note these for lag tools, without waiting; a failure costs nothing but the tools' view."""
        noted = [TopicPartition(*p, m.next_offset, metadata=m.remark) for p, m in marks.items()]
        try:
            self._consumer.commit(offsets=noted, asynchronous=True)
        except KafkaException as error:
            if (silent := self._throttle.due("mark")) is not None:
                log.warning("group offsets were not noted", error=str(error), more=silent)

    def close(self) -> None:
        """Leave the group; the owner is told."""
        with translated("closing"):
            self._consumer.close()

    def _tells_no_ids(self) -> bool:
        """Whether this is the client's in-process broker, known by its name: it has no controller to ask.

        A real cluster may be without one for a moment; it must never be taken for a cluster without ids.
        """
        if self._in_process is None:
            try:
                cluster = self._admin.list_topics(timeout=REQUEST_SECONDS)
            except KafkaException as error:
                self._admin.poll(0)  # the client tells the cause in a call-back
                raise RuntimeFailure(f"Kafka: {self._why or explained(error.args[0].str())}") from error
            self._in_process = str(cluster.cluster_id).startswith(IN_PROCESS)
        return self._in_process

    def _hear(self, error: KafkaError) -> None:
        """The client tells why it cannot reach a broker, or what it is refused for."""
        if not self._why or tells_a_cause(error.str()):
            self._why = explained(error.str())
        if (about := kind(error.str())) and (silent := self._throttle.due(about)) is not None:
            log.warning("Kafka refuses this client", error=self._why, more=silent)

    def _count_partitions(self, name: str) -> int:
        with translated(f"topic {name}"):
            found = self._admin.list_topics(name, timeout=REQUEST_SECONDS).topics[name]
            if found.error is not None:
                raise KafkaException(found.error)
        return len(found.partitions)

    def _trouble(self, message: Message, error: KafkaError) -> None:
        code, topic = error.code(), message.topic()
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name for it
            self._ends[_origin(message)] = message.offset() or 0
        elif error.fatal() or code in _OUTRIGHT:
            group = code == KafkaError.GROUP_AUTHORIZATION_FAILED
            what = f"group {self._options['group.id']}" if group else f"reading {topic or ''}".strip()
            raise translate(what, error)
        elif code == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - the client's own name for it
            self._astray.add(_origin(message))
        elif (silent := self._throttle.due(error.name())) is not None:
            log.warning("kafka", error=explained(error.str()), code=error.name(), more=silent)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the client's exceptions into ours."""
    try:
        yield
    except KafkaException as error:
        raise translate(what, error.args[0]) from error


def translate(what: str, error: KafkaError) -> ConfigError | RuntimeFailure:
    """Return our error for the client's: one for a person to mend, or one that may pass."""
    code = error.code()
    if code == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return ConfigError(f"{what}: does not exist on this broker; create it first (wirelag topics create)")
    if code == KafkaError._FENCED or code == KafkaError.FENCED_INSTANCE_ID:  # noqa: SLF001, PLR1714 - client's names
        return RuntimeFailure(f"{what}: another consumer runs under the same consumer.instance-id")
    if code in _RIGHTS:
        return ConfigError(f"{what}: {error.str()}; `wirelag topics acl` prints the rights that are needed")
    if code in _OUTRIGHT or code == KafkaError._INVALID_ARG:  # noqa: SLF001 - the client's own name for it
        return ConfigError(f"{what}: {explained(error.str())}")
    return RuntimeFailure(f"{what}: {explained(error.str())}")


def topic_id(uuid: Uuid) -> str:
    """Return a topic's id as Kafka's tools print it: the client's text has `+` and `/` for `-` and `_`."""
    return str(uuid).replace("+", "-").replace("/", "_")


def _stand_in(name: str) -> str:
    """Return what takes the place of an id where none is told (of names, `.` and `_` are one to Kafka)."""
    return f"{NO_TOPIC_ID}-{name.replace('.', '_')}"


def _origin(message: Message) -> Partition:
    return Partition(message.topic() or "", message.partition() or 0)


def _origin_of(position: TopicPartition) -> Partition:
    return Partition(position.topic, position.partition)


def _partitions(given: Iterable[TopicPartition]) -> list[Partition]:
    return [_origin_of(one) for one in given]


def _positions(offsets: Mapping[Partition, int]) -> list[TopicPartition]:
    return [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
