# SPDX-License-Identifier: Apache-2.0
"""The table `[kafka]`, and what it means to librdkafka. No client library is imported here.

What delivery rests on (acknowledged by all, idempotent, positions kept by us and never by the group) is set
here and cannot be set otherwise; every other librdkafka property can, in `[kafka.options]`.
"""

import re
from typing import Annotated, Literal

from msgspec import Meta, field

from common.config.settings import Settings, is_secret
from common.kafka_security import Options, SecuritySettings
from common.units import ByteSize, Duration

GroupProtocol = Literal["classic", "consumer"]

# What a person may not set in [kafka.options], since a guarantee rests on our value or it has its own setting
_OURS = frozenset(
    {
        "acks",
        "auto.offset.reset",
        "bootstrap.servers",
        "check.crcs",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "group.id",
        "message.max.bytes",
        "metadata.broker.list",
        "request.required.acks",
        "sasl.mechanisms",
        "sasl.mechanism",
        "security.protocol",
        "transactional.id",
    }
)
_LEAST_RECORD = ByteSize.parse("1kB")
_MOST_RECORD = ByteSize.parse("1MB")  # a broker takes 1,048,588 B unless told otherwise
_LEAST_BUFFER = ByteSize.parse("1MiB")


_SERVER = re.compile(r"(\w+://)?([^\s,/:]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class KafkaSettings(Settings, frozen=True):
    """Where Kafka is, which topics, and how a client of it behaves."""

    bootstrap_servers: Annotated[str, Meta(description="host:port of some brokers, with commas")] = (
        "localhost:9092"
    )
    events_topic: Annotated[str, Meta(description="Batches of events")] = "wirelag.events.v1"
    control_topic: Annotated[str, Meta(description="Heartbeats of the agents")] = "wirelag.control.v1"
    latency_topic: Annotated[str, Meta(description="Latencies, for other programs")] = "wirelag.latency.v1"
    poison_topic: Annotated[str, Meta(description="Records that could not be read")] = "wirelag.poison.v1"
    shards: Annotated[
        int, Meta(ge=1, le=10_000, description="Partitions of the events topic, for as long as it lives")
    ] = 12
    client_id: Annotated[str, Meta(description="How brokers name this client in their logs")] = "wirelag"
    compression: Annotated[Literal["zstd", "lz4", "none"], Meta(description="Of records on their way")] = (
        "zstd"
    )
    linger: Annotated[Duration, Meta(description="How long a record waits for others to share a request")] = (
        Duration.parse("50ms")
    )
    buffer: Annotated[ByteSize, Meta(description="Memory for records that no broker has taken yet")] = (
        ByteSize.parse("32MiB")
    )
    max_record: Annotated[ByteSize, Meta(description="Largest record sent, at most 1MB")] = _MOST_RECORD
    delivery_timeout: Annotated[Duration, Meta(description="After this a record counts as not delivered")] = (
        Duration.parse("120s")
    )
    security: SecuritySettings = SecuritySettings()
    options: Annotated[
        dict[str, str | int | float | bool], Meta(description="Any property of librdkafka, as it stands")
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no broker takes, options that a guarantee rests on, and secrets in clear."""
        if not all(_SERVER.fullmatch(one.strip()) for one in self.bootstrap_servers.split(",")):
            found = f"bootstrap-servers: found {self.bootstrap_servers!r}"
            raise ValueError(f"{found}; allowed is host:port, several with commas")
        for name in ("events_topic", "control_topic", "latency_topic", "poison_topic"):
            if not _TOPIC.fullmatch(getattr(self, name)):
                found = f"{name.replace('_', '-')}: found {getattr(self, name)!r}"
                raise ValueError(f"{found}; allowed are 1 to 249 letters, digits, '.', '_' and '-'")
        for key in self.options:
            if key in _OURS:
                raise ValueError(f"options: {key!r} is decided by wirelag and cannot be set")
            if is_secret(key):
                raise ValueError(f"options: {key!r} is a secret; name a file with it in [kafka.security]")
        if not _LEAST_RECORD <= self.max_record <= _MOST_RECORD:
            allowed = f"{_LEAST_RECORD} to {_MOST_RECORD}"
            raise ValueError(f"max-record: found {self.max_record}; allowed is {allowed}")
        if self.buffer < _LEAST_BUFFER:
            raise ValueError(f"buffer: found {self.buffer}; allowed is {_LEAST_BUFFER} or more")
        if self.delivery_timeout < self.linger:
            allowed = f"linger ({self.linger}) or more"
            raise ValueError(f"delivery-timeout: found {self.delivery_timeout}; allowed is {allowed}")

    def client(self) -> Options:
        """Properties that every client of Kafka shares, an admin client included."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": self.client_id,
            "socket.keepalive.enable": True,
            **self.security.options(),
            **self.options,
        }

    def producer(self) -> Options:
        """Properties of a producer: all replicas acknowledge, and its own repeats make no second record."""
        return {
            "linger.ms": self.linger * 1000,
            "compression.type": self.compression,
            "queue.buffering.max.kbytes": self.buffer // 1024,
            "delivery.timeout.ms": round(self.delivery_timeout * 1000),
            **self.client(),
            "acks": "all",
            "enable.idempotence": True,
            "message.max.bytes": int(self.max_record),
        }

    def consumer(self, group: str, *, member: str = "", protocol: GroupProtocol = "classic") -> Options:
        """Properties of a consumer that keeps its own positions and never jumps over records unasked.

        Args:
            group: the group that shares the partitions.
            member: a static id: with one, a restart takes the same partitions back at once. Left out where
                `protocol` is `consumer`, which refuses the return of a static member that was killed.
            protocol: of the group: `classic`, or `consumer` (KIP-848).
        """
        own: Options = {
            "group.id": group,
            "group.protocol": protocol,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
        }
        if protocol == "classic":
            own["partition.assignment.strategy"] = "cooperative-sticky"
            if member:
                own["group.instance.id"] = member
        return {**self.client(), **own}
