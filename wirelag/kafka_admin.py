# SPDX-License-Identifier: Apache-2.0
"""Kafka's administration, for ``wirelag topics``: make topics, describe them, see how far a group is."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # they are not in its __all__
    AdminClient,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from common.errors import ConfigError, RuntimeFailure
from common.kafka import KafkaSettings
from wirelag.topic_needs import Found, Need

_WAIT = 15.0  # seconds
_PROBE = 0.02
_REFUSED = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})
_NO_COORDINATOR = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    }
)
"""What a broker says while it takes over, or makes, the place where groups note their offsets."""


class Place(NamedTuple):
    """Where a group stands in one partition, in Kafka offsets."""

    at: int
    low: int
    """First record there is."""
    high: int
    """One after the last."""
    half: int
    """First record that is younger than half of the retention, ``low`` where none is deleted by age."""


class Admin:
    """One connection to the cluster. Every failure leaves as RuntimeFailure or ConfigError."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings, self._bootstrap = settings, settings.bootstrap_servers
        try:
            self._admin = AdminClient({**settings.client(), "log_level": 0})
        except KafkaException as error:
            raise ConfigError(f"Kafka: {error.args[0].str()}") from error

    def brokers(self) -> int:
        """Return how many brokers the cluster has now."""
        try:
            return len(self._admin.list_topics(timeout=_WAIT).brokers)
        except KafkaException as error:
            reason = error.args[0].str()
            raise RuntimeFailure(
                f"Kafka at {self._bootstrap} did not answer: {reason}; check --bootstrap and that it runs"
            ) from error

    def create(self, wanted: Iterable[Need], copies: int, more: Mapping[str, str]) -> dict[str, bool]:
        """Make those that are missing, ``more`` set on each; say by topic whether it is new."""
        topics = [
            NewTopic(
                one.name,
                num_partitions=one.partitions,
                replication_factor=copies,
                config={**one.config, **more},
            )
            for one in wanted
        ]
        futures: Mapping[str, Future[None]] = self._admin.create_topics(topics)
        done = {name: self._is_new(name, future) for name, future in futures.items()}
        for name in done:
            wait_until_led(self._admin, name)
        return done

    def describe(self, names: Iterable[str]) -> dict[str, Found | None]:
        """Return each topic as it is, None where there is none."""
        found = {name: self._found(name) for name in names}
        there = [name for name, one in found.items() if one is not None]
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in there]
        futures = self._admin.describe_configs(resources, request_timeout=_WAIT) if resources else {}
        for name, future in zip(there, futures.values(), strict=True):
            entries = self._result(name, future)
            config = {key: str(entry.value) for key, entry in entries.items() if entry.value is not None}
            one = found[name]
            found[name] = one and one._replace(config=config)
        return found

    def places(self, group: str, topic: str, partitions: int, keep_ms: int) -> dict[int, Place]:
        """Return where a group stands in a topic; partitions of which it noted nothing are left out."""
        at = self._noted(group, topic, partitions)
        half_ms = int(time.time() * 1000) - keep_ms // 2
        specs = [OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.for_timestamp(half_ms)]  # type: ignore[no-untyped-call]
        low, high, half = (self._offsets(topic, at, spec) for spec in specs)
        if keep_ms <= 0:
            half = low
        # Where no record is that young, Kafka says -1
        return {n: Place(at[n], low[n], high[n], half[n] if half[n] >= 0 else high[n]) for n in at}

    def _noted(self, group: str, topic: str, partitions: int) -> dict[int, int]:
        """Return the Kafka offsets that a group noted. A consumer asks, which waits for the coordinator."""
        asked = [TopicPartition(topic, number) for number in range(partitions)]
        deadline = time.monotonic() + _WAIT
        consumer = Consumer({**self._settings.consumer(group), "log_level": 0})
        try:
            while True:
                try:
                    noted = consumer.committed(asked, timeout=_WAIT)
                    return {one.partition: one.offset for one in noted if one.offset >= 0}
                except KafkaException as error:
                    if error.args[0].code() not in _NO_COORDINATOR or time.monotonic() > deadline:
                        raise self._refused(f"group {group}", error.args[0]) from error
                    time.sleep(_PROBE)
        finally:
            consumer.close()

    def _offsets(self, topic: str, numbers: Iterable[int], spec: Any) -> dict[int, int]:  # noqa: ANN401
        asked = {TopicPartition(topic, number): spec for number in numbers}
        found = self._admin.list_offsets(asked, request_timeout=_WAIT).items() if asked else ()
        return {one.partition: int(self._result(topic, future).offset) for one, future in found}

    def _found(self, name: str) -> Found | None:
        topic = self._admin.list_topics(name, timeout=_WAIT).topics[name]
        if topic.error is not None and topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        if topic.error is not None:
            raise self._refused(name, topic.error)
        copies = min((len(one.replicas) for one in topic.partitions.values()), default=0)
        return Found(len(topic.partitions), copies, {})

    def _is_new(self, name: str, future: "Future[None]") -> bool:
        try:
            future.result(_WAIT)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise self._refused(name, error.args[0]) from error
            return False
        return True

    def _result(self, name: str, future: "Future[Any]") -> Any:  # noqa: ANN401 - what was asked for
        try:
            return future.result(_WAIT)
        except KafkaException as error:
            raise self._refused(name, error.args[0]) from error

    def _refused(self, name: str, error: KafkaError) -> RuntimeFailure | ConfigError:
        kind = ConfigError if error.code() in _REFUSED else RuntimeFailure
        return kind(f"{name}: {error.str()}")


def wait_until_led(admin: AdminClient, topic: str) -> int:
    """Return the topic's number of partitions once each has a leader: brokers say `created` a moment earlier.

    Raises:
        RuntimeFailure: that is not so in time.
    """
    deadline = time.monotonic() + _WAIT
    while time.monotonic() < deadline:
        leaders = _leaders(admin, topic)
        if leaders and min(leaders) >= 0:
            return len(leaders)
        time.sleep(_PROBE)
    raise RuntimeFailure(f"{topic}: not every partition has a leader after {_WAIT:.0f} s")


def _leaders(admin: AdminClient, topic: str) -> list[int]:
    """The leading broker of each partition, -1 where there is none; empty while the topic is not known."""
    try:
        partitions = admin.list_topics(topic, timeout=_WAIT).topics[topic].partitions
        return [partition.leader for partition in partitions.values()]
    except KafkaException as error:
        raise RuntimeFailure(f"{topic}: {error.args[0].str()}") from error
