# SPDX-License-Identifier: Apache-2.0
"""``wirelag cat`` against librdkafka's own broker: every topic, every form, and what goes wrong."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from common.kafka import KafkaSettings
from schemas import batch, control, example
from support.batches import Fleet
from wirelag.cli import main
from wirelag.kafka import records

EVENTS = batch.encode(example.batch())
Lines = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def producer() -> Iterator[Producer]:
    """A producer whose library runs the broker."""
    made = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "linger.ms": 0, "log_level": 0})
    yield made
    made.flush(60)


@pytest.fixture(scope="module")
def bootstrap(producer: Producer) -> str:
    brokers = producer.list_topics(timeout=60).brokers
    return ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())


@pytest.fixture
def cat(bootstrap: str, capsys: pytest.CaptureFixture[str]) -> Lines:
    """Run the command and return its lines."""

    def run(topic: str, *arguments: str) -> list[dict[str, Any]]:
        assert main(["cat", topic, "--bootstrap", bootstrap, *arguments]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def put(producer: Producer, topic: str, *values: bytes | None, **options: Any) -> None:
    for value in values:
        producer.produce(topic, value, **options)
    assert producer.flush(60) == 0


def test_events(producer: Producer, cat: Lines) -> None:
    """All events of all partitions are printed, once, and then the command ends."""
    fleet = Fleet(shards=3, connections=2)
    sent = list(fleet.talk(20))
    for shard, value in sent:
        put(producer, "events", value, partition=shard)
    found = cat("events")
    assert len(found) == sum(batch.decode(value).events for _, value in sent)
    assert sum(line["kind"] == "send" for line in found) == fleet.sends
    heads = cat("events", "--batches")
    assert [head["kind"] for head in heads] == ["batch"] * len(sent)
    assert sum(head["events"] for head in heads) == len(found)
    assert {head["record"].split("/")[1] for head in heads} == {"0", "1", "2"}


def test_a_topic_that_is_written_to_all_the_time_ends(producer: Producer, bootstrap: str) -> None:
    """What is there at the start is printed, not what comes meanwhile: such a topic has no end."""
    put(producer, "busy", *[EVENTS] * 5, partition=0)
    settings = KafkaSettings(bootstrap_servers=bootstrap)
    found = 0
    for _ in records(settings, "busy", from_beginning=True, follow=False):
        found += 1
        put(producer, "busy", EVENTS, partition=0)
        assert found <= 5
    assert found == 5


def test_limit(producer: Producer, cat: Lines) -> None:
    """No more lines than asked for."""
    put(producer, "limited", EVENTS, EVENTS)
    assert len(cat("limited", "--limit", "3")) == 3
    assert len(cat("limited", "--limit", "3", "--follow", "--json")) == 3


def test_heartbeats_deletions_and_poison(producer: Producer, cat: Lines) -> None:
    """Each record says what it is and where it lies."""
    put(producer, "mixed", control.encode(example.heartbeat()), None, key=b"shop-1", partition=0)
    headers = [("reason", b"column"), ("kafka_offset", b"9")]
    put(producer, "mixed", b"\x01", headers=headers, partition=0)
    put(producer, "mixed", b"neither", partition=0)
    found = cat("mixed")
    assert [line["kind"] for line in found] == ["heartbeat", "deleted", "poison", "unknown"]
    assert [line["record"] for line in found] == [f"mixed/0/{n}" for n in range(4)]
    assert (found[0]["key"], found[3]["key"]) == ("shop-1", None)


def test_empty_topic(producer: Producer, cat: Lines) -> None:
    """A topic without records prints nothing and ends."""
    producer.list_topics("empty", timeout=60)
    assert cat("empty") == []


def test_no_broker(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that does not answer is one line and exit code 1."""
    monkeypatch.setattr("wirelag.kafka._ANSWER_SECONDS", 0.2)
    assert main(["cat", "events", "--bootstrap", "127.0.0.1:1"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("wirelag: Kafka at 127.0.0.1:1 did not answer: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--limit", "0"), "--limit: found 0"),
        (("--no-from-beginning",), "shows nothing without --follow"),
        (("--set", "kafka.bogus=1"), "there is no 'bogus'"),
        (("--config", "missing.toml"), "missing.toml: cannot be read"),
    ],
)
def test_bad_options(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    """Options that cannot be used are one line and exit code 2."""
    assert main(["cat", "events", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_settings_come_from_the_consumers_file(
    producer: Producer, bootstrap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file names the brokers where the option does not."""
    put(producer, "configured", EVENTS)
    (tmp_path / "consumer.toml").write_text(f'[kafka]\nbootstrap-servers = "{bootstrap}"\n')
    assert main(["cat", "configured", "--config", str(tmp_path / "consumer.toml"), "--limit", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["host"] == "shop-1"
