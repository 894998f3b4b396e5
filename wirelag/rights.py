# SPDX-License-Identifier: Apache-2.0
"""Who needs which right in Kafka, and no more: the rules behind ``wirelag topics acl``.

Read and Write include Describe. An idempotent producer needs no right of its own (Kafka 3.0 and later).
"""

from collections.abc import Mapping
from shlex import quote
from typing import NamedTuple

from common.kafka import KafkaSettings


class Right(NamedTuple):
    """One operation on one resource."""

    operation: str
    resource: str
    """``topic`` or ``group``."""
    name: str
    why: str
    optional: bool = False
    """Without it everything runs on, but for what ``why`` says."""


def rights(settings: KafkaSettings, group: str) -> Mapping[str, list[Right]]:
    """Return the rights of each role: agent, consumer, reader, operator."""
    events, control = settings.events_topic, settings.control_topic
    latency, poison = settings.latency_topic, settings.poison_topic
    return {
        "agent": [
            Right("Write", "topic", events, "batches of events"),
            Right("Write", "topic", control, "heartbeats"),
            Right("Read", "topic", control, "orders; else only the off-file stops an agent", optional=True),
        ],
        "consumer": [
            Right("Read", "topic", events, "batches of events"),
            Right("Read", "topic", control, "heartbeats"),
            Right("Read", "group", group, "to share the partitions with others"),
            Right("Write", "topic", poison, "records that cannot be read"),
            Right("Write", "topic", latency, "latencies; not with consumer.publish = false"),
            Right("DescribeConfigs", "topic", events, "the lag against the retention", optional=True),
            Right("DescribeConfigs", "topic", control, "the same, of heartbeats", optional=True),
        ],
        "reader": [
            Right("Read", "topic", latency, "latencies"),
            Right("Read", "group", f"{latency}-", "groups of its own: any whose name begins like this"),
        ],
        "operator": [
            Right("Read", "topic", control, "`wirelag control`: orders and answers"),
            Right("Write", "topic", control, "`wirelag control`: who may do this can stop every agent"),
        ],
    }


def command(right: Right, principal: str, bootstrap: str) -> str:
    """Return the command that grants a right."""
    prefixed = " --resource-pattern-type prefixed" if right.name.endswith("-") else ""
    return (
        f"kafka-acls.sh --bootstrap-server {quote(bootstrap)} --add --allow-principal {quote(principal)} "
        f"--operation {right.operation} --{right.resource} {quote(right.name)}{prefixed}"
    )
