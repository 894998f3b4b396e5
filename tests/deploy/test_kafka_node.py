# SPDX-License-Identifier: Apache-2.0
import os
import select
import signal
import subprocess
import sys
import time

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from common.kafka import KafkaSettings
from support.kafka import QUICK, KafkaNode, KafkaNodeError
from support.topics import Topics

pytestmark = pytest.mark.kafka


def produce(bootstrap: str, topic: str, *values: bytes) -> None:
    failures = []
    producer = Producer(KafkaSettings(bootstrap_servers=bootstrap).producer() | {"log_level": 0})
    for value in values:
        producer.produce(
            topic, value, partition=0, on_delivery=lambda error, _: failures.append(error) if error else None
        )
    assert producer.flush(60) == 0
    assert failures == []


def consume(bootstrap: str, topic: str, count: int) -> list:
    options = KafkaSettings(bootstrap_servers=bootstrap).consumer(f"group-{topic}")
    consumer = Consumer(options | QUICK | {"auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        records = []
        while len(records) < count:
            got = consumer.consume(count, timeout=60)
            assert got, f"{len(records)} of {count} records came"
            assert [record.error() for record in got if record.error()] == []
            records += got
        return records
    finally:
        consumer.close()


def test_record_comes_back_with_the_time_of_the_broker(kafka, topics):
    topic = topics("events", 3)
    before = time.time() * 1000
    produce(kafka, topic, b"one", b"two")
    records = consume(kafka, topic, 2)
    assert [record.value() for record in records] == [b"one", b"two"]
    kind, milliseconds = records[0].timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME
    assert before - 1000 <= milliseconds <= time.time() * 1000 + 1000


def test_topics_are_fresh_each_with_its_partitions(kafka, topics):
    first, second = topics("events", 3), topics("events", 3)
    assert first != second
    there = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=60).topics
    assert [len(there[name].partitions) for name in (first, second)] == [3, 3]


def test_records_survive_a_kill_at_the_same_address(kafka_node):
    address, pid = kafka_node.bootstrap, kafka_node.pid
    topic = Topics(address)("events")
    produce(address, topic, b"before")
    kafka_node.kill()
    with pytest.raises(KafkaNodeError, match="not running"):
        _ = kafka_node.pid
    kafka_node.start()
    produce(address, topic, b"after")
    assert (kafka_node.bootstrap, kafka_node.pid == pid) == (address, False)
    assert [record.value() for record in consume(address, topic, 2)] == [b"before", b"after"]


def test_suspended_node_answers_nothing_until_resumed(kafka_node):
    admin = AdminClient({"bootstrap.servers": kafka_node.bootstrap, **QUICK})
    assert admin.list_topics(timeout=60).brokers
    kafka_node.suspend()
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=1)
    kafka_node.resume()
    assert admin.list_topics(timeout=60).brokers


def test_node_dies_with_the_process_that_started_it(tmp_path):
    program = (
        "import pathlib, signal\n"
        "from support.kafka import KafkaNode\n"
        f"node = KafkaNode(pathlib.Path({str(tmp_path)!r})).start()\n"
        "print(node.pid, flush=True)\n"
        "signal.pause()\n"
    )
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as starter:
        pid = int(starter.stdout.readline())
        node = os.pidfd_open(pid)
        starter.send_signal(signal.SIGKILL)
    ended, _, _ = select.select([node], [], [], 20)  # a pidfd is readable once its process has ended
    os.close(node)
    assert ended, "Kafka outlived its starter"


def test_failed_start_shows_the_end_of_the_log_and_leaves_nothing(tmp_path):
    node = KafkaNode(tmp_path, properties={"log.retention.ms": "never"})
    with pytest.raises(KafkaNodeError, match=r"log\.retention\.ms"):
        node.start()
    with pytest.raises(KafkaNodeError, match="not running"):
        _ = node.pid
    node.close()


def test_missing_jars_are_told_with_the_remedy(tmp_path):
    node = KafkaNode(tmp_path / "node", libs=tmp_path)
    with pytest.raises(KafkaNodeError, match="scripts/setup --kafka"):
        node.start()
    node.close()
