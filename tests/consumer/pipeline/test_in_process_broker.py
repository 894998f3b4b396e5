# SPDX-License-Identifier: Apache-2.0
"""The consumer also reads librdkafka's in-process broker, which tells no topic ids: the demo stands on it."""

import threading
from pathlib import Path

from confluent_kafka import Producer

from common.config import load
from consumer.cli import run, summary
from consumer.settings import ConsumerSettings
from consumer.source.kafka import NO_TOPIC_ID
from demo.broker import SHARDS, InProcessBroker
from lake.facts import Facts
from support.batches import Fleet


def test_traffic_on_the_in_process_broker_is_matched(tmp_path: Path) -> None:
    broker = InProcessBroker()
    fleet = Fleet(shards=SHARDS)
    producer = Producer({"bootstrap.servers": broker.address, "log_level": 0})
    for partition, value in fleet.talk(20):
        producer.produce("wirelag.events.v1", value=value, partition=partition)
    assert producer.flush(60) == 0
    told = [
        f"kafka.bootstrap-servers={broker.address}",
        f"kafka.shards={SHARDS}",
        f"lake.uri={tmp_path}/lake",
    ]
    settings = load(ConsumerSettings, overrides=told)

    totals = run(settings, threading.Event(), until_end=True)

    assert totals.rows["match"] == fleet.sends
    assert f"{fleet.sends:,} matches, 0 unmatched" in summary(totals, settings.lake.uri)
    assert Facts.open(settings.lake.uri).known_topic_ids("wirelag.events.v1") == {
        f"{NO_TOPIC_ID}-wirelag_events_v1"
    }
