# SPDX-License-Identifier: Apache-2.0
"""The agent's one Kafka producer.

Idempotent, acks=all, explicit partitions, every record's fate counted in events.

A record that librdkafka gives up on may have been delivered all the same; it is sent again under its old
sequence, and the consumer drops what it has already. What does not fit the bounded queue is lost and
counted, never silently; ``spooled.py`` puts it on the disk instead.
"""

import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from agent.brokers import Broker
from agent.delivery.outstanding import Outstanding, Ticket
from agent.ledger import DELIVERED, Ledger
from agent.spool.limits import Figures
from agent.spool.record import Run
from common.errors import RuntimeFailure, TopicMismatchError
from common.kafka import KafkaSettings

METADATA_SECONDS = 10.0
GIVE_UP = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_MSG_SIZE})
"""Failures that sending again cannot mend."""
OURS = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001 - the client's names
"""What ``recall`` makes of records."""
RECALL_POLLS = 40
RECALL_SECONDS = 0.005


class KafkaDelivery:
    """Sends event batches and heartbeats. One thread calls it; callbacks run inside ``poll``."""

    def __init__(self, settings: KafkaSettings, ledger: Ledger) -> None:
        self._settings = settings
        self._topic = settings.events_topic
        self._ledger = ledger
        self._producer = self._make_producer()
        self._fatal = False
        """The producer takes nothing any more."""
        self._waiting: deque[tuple[bytes, Ticket]] = deque()
        self._waiting_bytes = 0
        self.outstanding = Outstanding()
        self.last_error = ""
        self.records = 0
        self.record_bytes = 0
        self.last_delivery_ns: int | None = None
        """CLOCK_MONOTONIC of the last report of a delivery."""
        self.brokers: list[Broker] = []
        self.control_partitions = 0
        """Both are known once the topics were checked."""

    def _make_producer(self) -> Producer:
        options = {**self._settings.producer(), "error_cb": self._on_error}
        return Producer(options, logger=logging.getLogger("librdkafka"))

    @property
    def standing(self) -> Figures | None:
        """How the spool stands, None where there is none."""
        return None

    @property
    def left(self) -> Mapping[tuple[Run, str], int]:
        """Events of earlier runs' records that this run lost, by run and reason."""
        return {}

    def begin(self) -> None:
        """Be ready for ``send``."""

    def check_topic(self) -> None:
        """Refuse an events topic that is not cut into as many partitions as the settings have shards.

        Raises:
            TopicMismatchError: it has another number; the two ends of a connection would part.
            RuntimeFailure: no broker answers, or this topic or the one of heartbeats does not exist.
        """
        shards = self._settings.shards
        found = self._partitions(self._topic, shards)
        if found != shards:
            raise TopicMismatchError(
                f"topic {self._topic} has {found} partitions, kafka.shards is {shards}: "
                f"set it to {found} on every agent and consumer, or use a new topic"
            )
        self.control_partitions = self._partitions(self._settings.control_topic, 2)

    def _partitions(self, topic: str, wanted: int) -> int:
        """Return how many partitions a topic has; ``wanted`` is what to create it with."""
        bootstrap = self._settings.bootstrap_servers
        try:
            cluster = self._producer.list_topics(topic, timeout=METADATA_SECONDS)
        except KafkaException as error:
            self._producer.poll(0)  # the client tells the cause in a call-back
            reason = self.last_error or error.args[0].str()
            raise RuntimeFailure(
                f"Kafka at {bootstrap} does not answer ({reason}): "
                "is it up, and is kafka.bootstrap-servers its address?"
            ) from error
        self.brokers = [Broker(one.host, one.port) for one in cluster.brokers.values()]
        found = cluster.topics[topic]
        if found.error is not None:
            raise RuntimeFailure(
                f"Kafka at {bootstrap}: topic {topic}: {found.error.str()}; "
                f"create it with {wanted} partition{'s' if wanted > 1 else ''} (deploy/README.md)"
            )
        return len(found.partitions)

    def _serve(self, seconds: float) -> None:
        """Take delivery reports, waiting so long for the first; learn of an error that ends the producer."""
        try:
            self._producer.poll(seconds)
        except KafkaException as error:  # which the client raises here and tells no call-back of
            self._on_error(error.args[0])

    def send(self, value: bytes, ticket: Ticket) -> None:
        """Hand over one encoded batch; never blocks."""
        self.outstanding.open(ticket)
        self._enqueue(value, ticket)

    def send_control(self, key: bytes, value: bytes) -> None:
        """Hand over a heartbeat; one that does not fit is replaced by the next."""
        try:
            self._producer.produce(self._settings.control_topic, value, key, 0)
        except (BufferError, KafkaException) as error:
            self.last_error = str(error)

    def poll(self) -> None:
        """Take delivery reports and move what waited into the queue."""
        self._serve(0)
        if self._fatal:
            self._recall()
        for _ in range(len(self._waiting)):
            value, ticket = self._waiting.popleft()
            self._waiting_bytes -= len(value)
            if not self._produce(value, ticket):
                self._wait(value, ticket, first=True)
                return

    def close(self, seconds: float, now: Callable[[], float]) -> int:
        """Wait until everything is acknowledged, at most ``seconds``; returns the records that are not."""
        deadline = now() + seconds
        while (len(self.outstanding) or len(self._producer)) and now() < deadline:
            self._serve(0.2)
            self.poll()
        return self._left()

    def end(self) -> None:
        """Nothing is sent any more."""

    def _left(self) -> int:
        left = sum(ticket.events for ticket in self.outstanding.tickets())
        self._ledger.put("kafka", "undelivered-at-exit", left)  # of the last call, should there be several
        return len(self.outstanding)

    def _enqueue(self, value: bytes, ticket: Ticket) -> None:
        if self._waiting or not self._produce(value, ticket):
            self._wait(value, ticket)

    def _produce(self, value: bytes, ticket: Ticket) -> bool:
        report = functools.partial(self._on_delivery, ticket)
        try:
            self._producer.produce(self._topic, value, partition=ticket.shard, on_delivery=report)
        except BufferError:
            return False
        except KafkaException as refused:
            error = refused.args[0]
            self._fatal |= error.fatal()
            if error.code() in GIVE_UP:
                self._fail(ticket, error)
            else:
                self.last_error = error.str()
                self._returned(value, ticket)
        return True

    def _wait(self, value: bytes, ticket: Ticket, *, first: bool = False) -> None:
        if not first and self._waiting_bytes + len(value) > self._settings.buffer:
            self._ledger.add("queue", "full", ticket.events)
            self.outstanding.close(ticket)
            return
        self._waiting_bytes += len(value)
        (self._waiting.appendleft if first else self._waiting.append)((value, ticket))

    def _on_delivery(self, ticket: Ticket, error: KafkaError | None, message: Message) -> None:
        value = message.value() or b""
        if error is None:
            self.records += 1
            self.record_bytes += len(value)
            self.last_delivery_ns = time.monotonic_ns()
            self._arrived(ticket)
        elif error.code() in GIVE_UP:
            self._fail(ticket, error)
        else:
            self._fatal |= error.fatal()
            if error.code() not in OURS:
                self.last_error = error.str()
            self._returned(value, ticket)

    def _arrived(self, ticket: Ticket) -> None:
        self._ledger.add(*DELIVERED, ticket.events)
        self.outstanding.close(ticket)

    def _returned(self, value: bytes, ticket: Ticket) -> None:
        """A record did not arrive, or it is not known whether it did."""
        self._wait(value, ticket)

    def _recall(self) -> None:
        """Have all records returned that are on their way; where the producer is done for, make another one.

        Nothing is waited for but the client's own threads in this process.
        """
        self._producer.purge()
        for _ in range(RECALL_POLLS):
            if not len(self._producer):
                break
            self._serve(RECALL_SECONDS)
        if self._fatal and not len(self._producer):  # else at the next call: reports are still to come
            old = [self._producer]
            self._producer, self._fatal = self._make_producer(), False
            # Taking a client apart waits for its connections, which is not for the thread that traces.
            threading.Thread(target=old.clear, name="old-producer", daemon=True).start()

    def _fail(self, ticket: Ticket, error: KafkaError) -> None:
        self.last_error = error.str()
        self._given_up(ticket, error.name().strip("_").lower().replace("_", "-"))

    def _given_up(self, ticket: Ticket, reason: str) -> None:
        self._ledger.add("kafka", reason, ticket.events)
        self.outstanding.close(ticket)

    def _on_error(self, error: KafkaError) -> None:
        self._fatal |= error.fatal()
        self.last_error = error.str()
