# SPDX-License-Identifier: Apache-2.0
"""What the agent's producer asks for at the start, and what it says of records it could not deliver."""

import itertools
from collections.abc import Callable

import pytest

from agent.delivery.kafka import KafkaDelivery
from agent.delivery.outstanding import Ticket
from agent.ledger import Ledger
from common.errors import RuntimeFailure, TopicMismatchError
from common.kafka import KafkaSettings
from support.topics import Topics

NOBODY = "127.0.0.1:1"


def clock() -> Callable[[], float]:
    """Return a clock that is a second later at each look."""
    return itertools.count().__next__


def test_what_is_undelivered_at_the_end_is_counted_once() -> None:
    """The agent closes twice, before and after its last words; both find the same records left."""
    ledger = Ledger()
    delivery = KafkaDelivery(KafkaSettings(bootstrap_servers=NOBODY), ledger)
    delivery.send(b"batch", Ticket(shard=0, sequence=0, events=7, oldest_ns=0))
    assert delivery.close(2.0, clock()) == 1
    assert delivery.close(2.0, clock()) == 1
    assert ledger.total("kafka", "undelivered-at-exit") == 7


def test_topics_are_asked_for_before_anything_is_traced(kafka: str, topics: Topics) -> None:
    """Without the topic of heartbeats nobody would hear of losses, so it is asked for too."""
    there = {"events_topic": topics("events", 3), "control_topic": topics("control")}
    check(kafka, there)
    with pytest.raises(RuntimeFailure, match=r"topic nowhere: .* create it with 3 partitions"):
        check(kafka, there | {"events_topic": "nowhere"})
    with pytest.raises(RuntimeFailure, match=r"topic nowhere: .* create it with 2 partitions"):
        check(kafka, there | {"control_topic": "nowhere"})
    with pytest.raises(TopicMismatchError, match=r"has 1 partitions, kafka\.shards is 3"):
        check(kafka, there | {"events_topic": there["control_topic"]})


def check(kafka: str, topics: dict[str, str]) -> None:
    """Ask as `run` and `check` do."""
    settings = KafkaSettings(bootstrap_servers=kafka, shards=3, **topics)
    KafkaDelivery(settings, Ledger()).check_topic()
