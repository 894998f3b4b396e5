# SPDX-License-Identifier: Apache-2.0
"""Look into a topic, and write an order. With ``kafka_admin`` all of this package that knows confluent_kafka.

Joins no group and stores no position; reading changes nothing in Kafka.
"""

from collections.abc import Iterator
from typing import NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from common.errors import ConfigError, RuntimeFailure
from common.kafka import KafkaSettings

_ANSWER_SECONDS = 10.0
_POLL_SECONDS = 0.5


class Record(NamedTuple):
    """One record of any topic."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    key: bytes | None
    value: bytes | None
    headers: dict[str, str]


def records(
    settings: KafkaSettings, topic: str, *, from_beginning: bool, follow: bool, only: int | None = None
) -> Iterator[Record]:
    """Yield a topic's records: those that are there now or, with ``follow``, for ever those that come, too.

    ``only`` is the one partition that is wanted, None = all.

    Raises:
        ConfigError: there is no such topic, or the settings cannot be used.
        RuntimeFailure: Kafka does not answer or refuses.
    """
    consumer = _consumer(settings)
    try:
        partitions = [one for one in _partitions(consumer, settings, topic) if only in {None, one}]
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        consumer.assign([TopicPartition(topic, number, start) for number in partitions])
        yield from _read(consumer, _ends(consumer, topic, partitions), follow=follow)
    except KafkaException as error:
        raise RuntimeFailure(f"Kafka at {settings.bootstrap_servers}: {_text(error)}") from error
    finally:
        consumer.close()


def recent(settings: KafkaSettings, topic: str, partition: int, since_ms: int) -> Iterator[Record | None]:
    """Yield a partition's records since a time of day, and then those that come: for ever.

    None stands for half a second in which none came, so that whoever reads can look at the clock.

    Raises:
        ConfigError: there is no such topic, or the settings cannot be used.
        RuntimeFailure: Kafka does not answer or refuses.
    """
    consumer = _consumer(settings)
    try:
        _partitions(consumer, settings, topic)
        asked = TopicPartition(topic, partition, since_ms)
        consumer.assign(consumer.offsets_for_times([asked], timeout=_ANSWER_SECONDS))
        while True:
            message = consumer.poll(_POLL_SECONDS)
            yield None if message is None or _only_trouble(message) else _record(message)
    except KafkaException as error:
        raise RuntimeFailure(f"Kafka at {settings.bootstrap_servers}: {_text(error)}") from error
    finally:
        consumer.close()


def number_of_partitions(settings: KafkaSettings, topic: str) -> int:
    """Return how many partitions a topic has; raises as ``recent`` does."""
    consumer = _consumer(settings)
    try:
        return len(_partitions(consumer, settings, topic))
    finally:
        consumer.close()


def send(settings: KafkaSettings, topic: str, partition: int, key: bytes, value: bytes) -> None:
    """Write one record and wait for its acknowledgement.

    Raises:
        RuntimeFailure: Kafka does not answer or refuses.
    """
    failed: list[str] = []

    def told(error: KafkaError | None, _: Message) -> None:
        failed.extend([error.str()] if error is not None else [])

    try:
        producer = Producer({**settings.producer(), "log_level": 0})
        producer.produce(topic, value, key, partition, told)
        left = producer.flush(_ANSWER_SECONDS)
    except KafkaException as error:
        raise RuntimeFailure(f"Kafka at {settings.bootstrap_servers}: {_text(error)}") from error
    if failed or left:
        reason = failed[0] if failed else "no acknowledgement in time"
        raise RuntimeFailure(f"Kafka at {settings.bootstrap_servers}, topic {topic}: {reason}")


def _only_trouble(message: Message) -> bool:
    """Say whether a message is news of trouble that passes; raise KafkaException for what does not."""
    error = message.error()
    if error is None:
        return False
    passes = error.retriable() or error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - client's name
    if error.fatal() or not passes:
        raise KafkaException(error)
    return True


def _consumer(settings: KafkaSettings) -> Consumer:
    options = {
        **settings.consumer("wirelag-cat"),
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "log_level": 0,
    }
    try:
        return Consumer(options)
    except KafkaException as error:
        raise ConfigError(f"Kafka: {_text(error)}") from error


def _partitions(consumer: Consumer, settings: KafkaSettings, topic: str) -> list[int]:
    try:
        found = consumer.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic]
    except KafkaException as error:
        message = f"Kafka at {settings.bootstrap_servers} did not answer: {_text(error)}"
        raise RuntimeFailure(f"{message}; check --bootstrap and that it runs") from error
    if found.error is not None or not found.partitions:
        raise ConfigError(f"topic {topic!r}: {found.error or 'has no partitions'}; see `wirelag cat --help`")
    return sorted(found.partitions)


def _ends(consumer: Consumer, topic: str, partitions: list[int]) -> dict[int, int]:
    """Return where each partition ends now: one that is written to all the time never comes to its end."""
    places = {number: TopicPartition(topic, number) for number in partitions}
    return {
        number: consumer.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)[1]
        for number, place in places.items()
    }


def _read(consumer: Consumer, ends: dict[int, int], *, follow: bool) -> Iterator[Record]:
    left = set(ends)
    while left or follow:
        message = consumer.poll(_POLL_SECONDS)
        if message is None:
            continue
        error, number, offset = message.error(), message.partition() or 0, message.offset() or 0
        if error is None:
            if follow or offset < ends[number]:
                yield _record(message)
            if offset + 1 >= ends[number]:
                left.discard(number)
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name for it
            left.discard(number)
        elif error.fatal() or not error.retriable():
            raise KafkaException(error)


def _record(message: Message) -> Record:
    kind, timestamp = message.timestamp()
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        timestamp if kind else None,
        _bytes(message.key()),
        _bytes(message.value()),
        {str(header[0]): _header(header[1]) for header in message.headers() or []},
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _header(value: str | bytes | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def _text(error: KafkaException) -> str:
    first = error.args[0] if error.args else error
    return first.str() if isinstance(first, KafkaError) else str(first)
