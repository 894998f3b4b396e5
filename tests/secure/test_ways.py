# SPDX-License-Identifier: Apache-2.0
"""Each way to prove who one is, by the services' own settings: a real broker lets them in."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.delivery.choose import delivery_of
from agent.delivery.orders import Orders
from agent.delivery.outstanding import Ticket
from agent.ledger import DELIVERED, Ledger
from agent.spool.settings import SpoolSection
from common.config import load, render
from common.kafka import KafkaSettings
from common.kafka_security import SecuritySettings
from common.units import Duration
from consumer.source.kafka import KafkaSource
from consumer.source.topics import Partition
from schemas.order import ORDERS, VERSION, Order, encode
from support.kafka import QUICK
from support.secure import SecureKafka
from support.spool import LATER, OFFSET_NS, RUN
from support.topics import Topics
from wirelag.kafka import send

SHARDS = 2
PATIENCE_SECONDS = 60.0
WAYS = [
    ("TLS", "none"),
    ("MUTUAL", "none"),
    ("SASL", "scram-sha-512"),
    ("SASL", "plain"),
    ("SASL", "oauthbearer"),
]
way = pytest.mark.parametrize(("listener", "mechanism"), WAYS)


def settings_on(secure: SecureKafka, listener: str, mechanism: str = "none", **other: Any) -> KafkaSettings:
    """Return the settings of a listener, with fresh topics."""
    topics = Topics(secure.node.bootstrap)
    return KafkaSettings(
        bootstrap_servers=secure.node.address(listener),
        events_topic=topics("events", SHARDS),
        control_topic=topics("control", 2),
        shards=SHARDS,
        options=QUICK,
        security=SecuritySettings(**secure.security(listener, mechanism, **other)),
    )


def until(reached: Callable[[], Any]) -> None:
    """Wait for something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@way
def test_agent_and_consumer_get_through(
    secure: SecureKafka, tmp_path: Path, listener: str, mechanism: str
) -> None:
    """Events go out, orders come in, what a spool held is delivered, and a consumer reads all of it."""
    file = tmp_path / "kafka.toml"
    file.write_text(render(settings_on(secure, listener, mechanism)))
    settings = load(KafkaSettings, file)
    ledger = Ledger()
    spool = SpoolSection(path=str(tmp_path / "spool"), max_disk_share=1.0, after=Duration(0.3))
    earlier = delivery_of(settings, spool, Ledger(), RUN, OFFSET_NS)
    earlier.begin()
    earlier.paused = True  # as before Kafka has answered
    earlier.send(b"earlier", Ticket(1, 0, 5, 0))
    assert earlier.close(0, time.monotonic) == 1
    earlier.end()
    delivery = delivery_of(settings, spool, ledger, LATER, OFFSET_NS)
    delivery.check_topic()
    delivery.begin()
    delivery.send(b"now", Ticket(0, 0, 7, 0))
    until(lambda: delivery.poll() or not (len(delivery.outstanding) or delivery.standing.records))
    assert delivery.close(PATIENCE_SECONDS, time.monotonic) == 0
    delivery.end()
    assert ledger.total(*DELIVERED) == 7
    _orders_are_heard(settings)
    source = KafkaSource(settings.consumer("reads"), settings.client())
    topic = settings.events_topic
    assert source.describe([topic])[topic].partitions == SHARDS
    source.assign({Partition(topic, number): 0 for number in range(SHARDS)})
    found: set[bytes] = set()
    until(lambda: found.update(r.value for b in source.poll(10, 0.1).values() for r in b) or len(found) == 2)
    source.close()
    assert found == {b"earlier", b"now"}


def _orders_are_heard(settings: KafkaSettings) -> None:
    order = Order(VERSION, 17, ("alpha",), "stop", 1)
    send(settings, settings.control_topic, ORDERS, order.key(), encode(order))
    orders = Orders(settings, "alpha")
    orders.open(2)
    orders.catch_up(PATIENCE_SECONDS)
    orders.close()
    assert orders.order(0) == order
