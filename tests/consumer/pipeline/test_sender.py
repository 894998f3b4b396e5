# SPDX-License-Identifier: Apache-2.0
"""What becomes of sent records is told for each: delivered, to be sent again, or never to be taken."""

import pytest

from common.errors import ConfigError
from common.kafka import KafkaSettings
from consumer.engine import Poison
from consumer.publish import poison
from consumer.publish.kafka import Sender
from consumer.publish.message import Outgoing
from consumer.source.topics import Partition
from support.consumer import read_topic
from support.topics import Topics


def records(topic: str, *sizes: int) -> list[Outgoing]:
    return [Outgoing(topic, b"key", b"x" * size, (("name", "text"),)) for size in sizes]


def test_records_are_delivered_with_key_and_headers(kafka: str, topics: Topics) -> None:
    topic = topics("out")
    sender = Sender(KafkaSettings(bootstrap_servers=kafka).producer())

    assert sender.send(records(topic, 1, 2, 3)) == (3, 0, 0, "")
    assert sender.send(records(topic, 4)) == (1, 0, 0, "")

    found = read_topic(kafka, topic, 1)
    assert [len(message.value() or b"") for message in found] == [1, 2, 3, 4]
    assert {message.key() for message in found} == {b"key"}
    assert found[0].headers() == [("name", b"text")]


def test_a_record_that_is_too_large_is_refused_and_the_rest_delivered(kafka: str, topics: Topics) -> None:
    sender = Sender(KafkaSettings(bootstrap_servers=kafka).producer())
    delivery = sender.send(records(topics("out"), 1, 2_000_000, 3))
    assert (delivery.delivered, delivery.failed, delivery.refused) == (2, 0, 1)
    assert "too large" in delivery.reason


def test_a_topic_that_does_not_exist_refuses(kafka: str) -> None:
    sender = Sender(KafkaSettings(bootstrap_servers=kafka).producer())
    delivery = sender.send(records("no-such-topic", 1))
    assert (delivery.delivered, delivery.failed, delivery.refused) == (0, 0, 1)


def test_without_a_broker_all_is_to_be_sent_again() -> None:
    options = KafkaSettings(bootstrap_servers="127.0.0.1:9").producer()
    sender = Sender({**options, "delivery.timeout.ms": 300, "log_level": 0})
    assert sender.send(records("out", 1, 2))[:3] == (0, 2, 0)


def test_an_option_the_client_does_not_know_is_for_a_person_to_mend() -> None:
    options = KafkaSettings(options={"no.such.option": "1"}).producer()
    with pytest.raises(ConfigError, match=r"no\.such\.option"):
        Sender(options)


def test_a_long_poison_value_is_cut_and_its_length_told() -> None:
    (record,) = poison.outgoing(
        "poison", Partition("events", 3), [Poison(17, "limits", "m" * 900, b"v" * 10**6)]
    )
    headers = dict(record.headers)
    assert (record.topic, record.key, len(record.value)) == ("poison", b"events/3/17", 900_000)
    assert (headers["bytes"], headers["kafka_offset"], len(headers["message"])) == ("1000000", "17", 500)
