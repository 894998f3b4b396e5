# SPDX-License-Identifier: Apache-2.0
"""``wirelag topics`` against a real Kafka: what it makes, what it finds to differ, what it says of lag."""

import json
import time
import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from common.kafka import KafkaSettings
from common.units import Duration
from wirelag.cli import main
from wirelag.topic_needs import Found, differences, needs

GOOD = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1048588"}


class Asked:
    """Topic names of one test, and the command with them."""

    def __init__(self, kafka, capsys):
        mark = uuid.uuid4().hex[:8]
        self.events, self.control, self.latency, self.poison = self.names = [
            f"{kind}.{mark}" for kind in ("events", "control", "latency", "poison")
        ]
        kinds = ("events", "control", "latency", "poison")
        sets = [f"kafka.{kind}-topic={name}" for kind, name in zip(kinds, self.names, strict=True)]
        self._told = ["--bootstrap", kafka, "--set", "kafka.shards=5"]
        self._told += [word for text in sets for word in ("--set", text)]
        self._capsys = capsys

    def __call__(self, *words):
        """Return exit code, standard output and standard error."""
        self._capsys.readouterr()
        code = main(["topics", *words, *self._told])
        return code, *self._capsys.readouterr()


@pytest.fixture
def asked(kafka, capsys):
    return Asked(kafka, capsys)


@pytest.fixture
def admin(kafka):
    return AdminClient({"bootstrap.servers": kafka})


def test_four_topics_are_made_and_a_second_run_changes_nothing(asked, admin):
    code, out, err = asked("create")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{asked.events}: created, 5 partitions, 1 copies (1 in sync), delete after 3d",
        f"{asked.control}: created, 2 partitions, 1 copies (1 in sync), compact,delete after 7d",
        f"{asked.latency}: created, 5 partitions, 1 copies (1 in sync), delete after 1d",
        f"{asked.poison}: created, 1 partitions, 1 copies (1 in sync), delete after 14d",
    ]
    assert asked("create")[:2] == (0, "".join(f"{name}: already there\n" for name in asked.names))
    assert asked("check")[:2] == (0, "".join(f"{name}: good\n" for name in asked.names))
    there = admin.list_topics(timeout=60).topics
    assert [len(there[name].partitions) for name in asked.names] == [5, 2, 5, 1]
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in asked.names[:2]]
    events, control = (future.result(60) for future in admin.describe_configs(resources).values())
    assert events["message.timestamp.type"].value == "LogAppendTime"
    assert control["cleanup.policy"].value == "compact,delete"
    assert events["min.insync.replicas"].value == "1"


def test_what_differs_is_told_with_the_remedy_and_nothing_is_changed(asked, topics):
    topics.create(asked.events, 4, {"max.message.bytes": "2000", "retention.ms": "3600000"})
    topics.create(asked.control, 1, {"message.timestamp.type": "LogAppendTime"})
    for command in ("check", "create"):
        code, out, err = asked(command)
        assert code == 1
        assert "essential: partitions is 4, wanted is 5\n    set kafka.shards = 4 on every agent" in out
        assert "essential: message.timestamp.type is CreateTime, wanted is LogAppendTime" in out
        assert "essential: max.message.bytes is 2000" in out
        assert "advice: retention.ms is 3600000" in out
        assert "advice: partitions is 1, wanted is 2" in out
        assert "differ in something essential" in err
    code, out, _ = asked("check", "--json")
    told = {row["topic"]: row for row in map(json.loads, out.splitlines())}
    assert code == 1
    assert {one["what"] for one in told[asked.events]["differences"] if one["essential"]} == {
        "partitions",
        "message.timestamp.type",
        "max.message.bytes",
    }
    assert told[asked.latency] == {"topic": asked.latency, "good": True, "differences": []}


def test_a_missing_topic_is_essential(asked):
    code, out, _ = asked("check")
    assert code == 1
    assert out.count("essential: topic is missing, wanted is there\n    wirelag topics create") == 4


def test_more_copies_than_brokers_is_told_in_the_words_of_the_broker(asked):
    code, _, err = asked("create", "--replicas", "3")
    assert code == 1
    assert asked.events in err
    assert "replic" in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("create", "--min-isr", "2"), "--min-isr: found 2; allowed is 1 to 1"),
        (("create", "--retention", "3"), "--retention: found '3' without a unit"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(asked, words, text):
    code, _, err = asked(*words)
    assert code == 2
    assert text in err
    assert asked("check")[1].count("missing") == 4


def test_a_group_that_lags_behind_the_retention_is_told(asked, admin, kafka):
    """Half of a retention of 2 s passes while nothing is read; then the first records are deleted."""
    assert asked("create", "--retention", "2s")[0] == 0
    producer = Producer({"bootstrap.servers": kafka, "linger.ms": 0})
    group = Consumer({"bootstrap.servers": kafka, "group.id": asked.events, "enable.auto.commit": False})
    for number in range(3):
        producer.produce(asked.events, b"x", partition=1)
        assert producer.flush(60) == 0, number
    group.commit(offsets=[TopicPartition(asked.events, 1, 1)], asynchronous=False)
    told = ("check", "--set", f"consumer.group={asked.events}")
    deadline = time.monotonic() + 60
    while "lags by more than half of retention.ms in 1 partitions" not in (out := asked(*told)[1]):
        assert time.monotonic() < deadline, out
    admin.delete_records([TopicPartition(asked.events, 1, 3)])[TopicPartition(asked.events, 1)].result(60)
    code, out, _ = asked(*told)
    assert code == 1
    assert f"2 records deleted before group {asked.events} read them" in out
    group.close()


def changed(copies=3, brokers=3, role="events", **config):
    """Return (what, essential) of each difference of a topic that is good but for these."""
    (need,) = [one for one in needs(KafkaSettings()) if one.role == role]
    texts = {name.replace("_", "."): value for name, value in config.items()}
    there = {**GOOD, **need.config, "min.insync.replicas": "2", **texts}
    found = Found(need.partitions, copies, there)
    return [(one.what, one.essential) for one in differences(need, found, brokers)]


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({}, []),
        ({"retention_ms": "-1"}, []),
        ({"retention_ms": "1000"}, [("retention.ms", False)]),
        ({"retention_bytes": "1000"}, [("retention.bytes", False)]),
        ({"cleanup_policy": "compact"}, [("cleanup.policy", True)]),
        ({"cleanup_policy": "delete", "role": "control"}, [("cleanup.policy", False)]),
        ({"max_message_bytes": "1000000"}, [("max.message.bytes", True)]),
        ({"max_message_bytes": "1000000", "role": "poison"}, [("max.message.bytes", False)]),
        ({"message_timestamp_type": "CreateTime", "role": "latency"}, [("message.timestamp.type", False)]),
        ({"min_insync_replicas": "1"}, [("min.insync.replicas", False)]),
        ({"min_insync_replicas": "3"}, [("min.insync.replicas", False)]),
        ({"min_insync_replicas": "4"}, [("min.insync.replicas", True)]),
        ({"copies": 1, "min_insync_replicas": "1"}, [("copies", False)]),
        ({"copies": 1, "brokers": 1, "min_insync_replicas": "1"}, []),
        ({"unclean_leader_election_enable": "true"}, [("unclean.leader.election.enable", False)]),
    ],
)
def test_what_is_essential_and_what_is_advice(there, told):
    assert changed(**there) == told


def test_events_are_kept_as_long_as_asked():
    kept = {one.role: one.config["retention.ms"] for one in needs(KafkaSettings(), Duration.parse("2h"))}
    assert kept["events"] == str(2 * 3600 * 1000)
    assert kept["poison"] == str(14 * 86_400 * 1000)
