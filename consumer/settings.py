# SPDX-License-Identifier: Apache-2.0
"""The consumer's settings: every one has a default, a meaning and, where it matters, limits."""

import re
from pathlib import Path
from typing import Annotated

from msgspec import Meta, field

from common.config import Settings
from common.kafka import GroupProtocol, KafkaSettings
from common.service import ServiceSettings
from common.units import ByteSize, Duration
from consumer.engine.names import EdgeName
from consumer.rollup.settings import RollupSettings
from consumer.source.topics import OnTruncated
from lake.settings import KeepSettings, MaintainSettings

ENV_PREFIX = "WIRELAG_CONSUMER"
_LEAST = Duration.parse("1ms")
_SECRET = re.compile(r"secret|password|token|access_key$|account_key|sas_")


class LakeSettings(Settings, frozen=True):
    """The table `[lake]`."""

    uri: Annotated[str, Meta(min_length=1, description="Folder, or URI of object storage (s3://…)")] = "lake"
    storage_options: Annotated[
        dict[str, str],
        Meta(description="Options of deltalake's object store; credentials come from the environment"),
    ] = field(default_factory=dict)

    maintain: MaintainSettings = MaintainSettings()
    keep: KeepSettings = KeepSettings()

    def __post_init__(self) -> None:
        """Refuse credentials, which would be seen by whoever reads the settings."""
        for key in self.storage_options:
            if _SECRET.search(key.lower()):
                raise ValueError(
                    f"storage-options: {key!r} is a credential; allowed is the environment "
                    "(AWS_SECRET_ACCESS_KEY, AZURE_STORAGE_ACCOUNT_KEY, …) or the machine's own role"
                )


class ConsumeSettings(Settings, frozen=True):
    """The table `[consumer]`."""

    group: Annotated[
        str, Meta(min_length=1, description="Kafka group whose members share the partitions")
    ] = "wirelag-consumer"
    instance_id: Annotated[
        str,
        Meta(description="Static member id, another for each process: a restart is quicker with one"),
    ] = ""
    group_protocol: Annotated[
        GroupProtocol, Meta(description="classic, or consumer (KIP-848), then without instance-id")
    ] = "classic"
    cycle: Annotated[Duration, Meta(description="Time from one commit to the next")] = Duration.parse("5s")
    cycle_bytes: Annotated[
        ByteSize, Meta(description="Commit sooner once so many bytes of records are waiting")
    ] = ByteSize.parse("64MiB")
    poll_records: Annotated[int, Meta(ge=1, le=100_000, description="Records taken from Kafka at once")] = 256
    tick: Annotated[Duration, Meta(description="Broker time between two rounds of matching")] = (
        Duration.parse("5s")
    )
    horizon: Annotated[
        Duration, Meta(description="How long an event waits for its other end before it is called unmatched")
    ] = Duration.parse("60s")
    window: Annotated[Duration, Meta(description="Length of a histogram's window")] = Duration.parse("60s")
    idle_flush: Annotated[
        Duration, Meta(description="A partition quiet for so long has its open events matched and closed")
    ] = Duration.parse("10s")
    peer_silence: Annotated[
        Duration, Meta(description="A host whose agent said nothing for so long is waited for no longer")
    ] = Duration.parse("5m")
    peer_wait: Annotated[
        Duration, Meta(description="A host whose agent delivers later than this is waited for no longer")
    ] = Duration.parse("15m")
    publish: Annotated[bool, Meta(description="Send latencies to the latency topic")] = True
    edge_name: Annotated[
        tuple[EdgeName, ...], Meta(description="What ends are called in edges; the first that matches")
    ] = ()
    owners_file: Annotated[
        Path | None, Meta(description="File of lines PATTERN OWNER: who owns an end; read at the start")
    ] = None
    accept_new_topic: Annotated[
        bool, Meta(description="Go on in this lake although a topic was created anew")
    ] = False
    on_truncated: Annotated[
        OnTruncated,
        Meta(
            description="Records deleted before they were read: stop, or go on and enter them in the ledger"
        ),
    ] = "stop"
    rollup: RollupSettings = RollupSettings()

    def __post_init__(self) -> None:
        """Refuse times that cannot work."""
        for name in ("cycle", "tick", "horizon", "window", "idle_flush", "peer_silence", "peer_wait"):
            if getattr(self, name) < _LEAST:
                key = name.replace("_", "-")
                raise ValueError(f"{key}: found {getattr(self, name)}; allowed is {_LEAST} or more")
        if self.group_protocol == "consumer" and self.instance_id:
            raise ValueError("instance-id: allowed only with group-protocol = classic")


class ConsumerSettings(Settings, frozen=True):
    """All that `wirelag consume` can be told."""

    kafka: KafkaSettings = KafkaSettings()
    lake: LakeSettings = LakeSettings()
    consumer: ConsumeSettings = ConsumeSettings()
    service: ServiceSettings = ServiceSettings()
