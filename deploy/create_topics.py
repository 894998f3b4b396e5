# SPDX-License-Identifier: Apache-2.0
"""Create wirelag's four topics, or say in what an existing one differs. Changes and deletes nothing.

    .venv/bin/python -m deploy.create_topics --replicas 3 --set bootstrap-servers=kafka1:9092 --set shards=48

Every key of the table [kafka] can be set, security included: `--set security.tls=true`.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from common.command import run_command
from common.config import load
from common.errors import RuntimeFailure, TopicMismatchError
from common.kafka import KafkaSettings

_HOUR = 3600 * 1000  # milliseconds
_DAY = 24 * _HOUR
_WAIT = 15.0  # seconds
_PROBE = 0.02
CONTROL_PARTITIONS = 2  # heartbeats, orders


def topic_specs(settings: KafkaSettings, replicas: int) -> list[NewTopic]:
    """The topics that wirelag needs.

    LogAppendTime everywhere: a record's time must be the broker's, since no watermark uses a host's.
    Control keeps the last word of each agent and, in a partition of their own, the last orders to agents; its
    segments are short since only closed ones are compacted. After a week both are forgotten.
    """
    ours = {"message.timestamp.type": "LogAppendTime"}
    last_words = {
        **ours,
        "cleanup.policy": "compact,delete",
        "retention.ms": str(7 * _DAY),
        "segment.ms": str(_HOUR),
        "segment.bytes": str(64 * 2**20),
    }

    def topic(name: str, partitions: int, config: dict[str, str]) -> NewTopic:
        return NewTopic(name, num_partitions=partitions, replication_factor=replicas, config=config)

    return [
        topic(settings.events_topic, settings.shards, {**ours, "retention.ms": str(3 * _DAY)}),
        topic(settings.control_topic, CONTROL_PARTITIONS, last_words),
        topic(settings.latency_topic, settings.shards, {**ours, "retention.ms": str(_DAY)}),
        topic(settings.poison_topic, 1, {**ours, "retention.ms": str(14 * _DAY)}),
    ]


def create_topics(settings: KafkaSettings, replicas: int = 1) -> dict[str, str]:
    """Create those that are missing; what was done by topic: `created` or `already there`.

    Raises:
        RuntimeFailure: no broker answers, or one refuses.
        TopicMismatchError: a topic is there with another number of partitions.
    """
    admin = AdminClient(settings.client())
    specs = topic_specs(settings, replicas)
    futures: Mapping[str, Future[None]] = admin.create_topics(specs)
    done = {name: _outcome(name, future) for name, future in futures.items()}
    for spec in specs:
        found = wait_until_led(admin, spec.topic)
        if spec.topic == settings.control_topic and found == 1:
            done[spec.topic] += ", of one partition: it carries heartbeats, and no orders to agents"
        elif found != spec.num_partitions:
            raise TopicMismatchError(f"{spec.topic}: has {found} partitions; wanted is {spec.num_partitions}")
    return done


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


def _outcome(name: str, future: "Future[None]") -> str:
    try:
        future.result(_WAIT)
    except KafkaException as error:
        reason = error.args[0]
        if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return "already there"
        raise RuntimeFailure(f"{name}: {reason.str()}") from error
    return "created"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Create wirelag's four topics where they are missing.")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of [kafka]")
    parser.add_argument("--replicas", type=int, default=1, help="copies of each partition (3 in production)")
    return parser.parse_args()


def main() -> None:
    """Create the topics and print one line for each."""
    arguments = _parse()
    settings = load(KafkaSettings, overrides=arguments.set)
    for name, what in create_topics(settings, arguments.replicas).items():
        print(f"{name}: {what}")


if __name__ == "__main__":
    sys.exit(run_command("create-topics", main))
