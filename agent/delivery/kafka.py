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

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from agent.brokers import Broker
from agent.delivery.outstanding import Outstanding, Ticket
from agent.delivery.topics import missing, require_shards
from agent.ledger import DELIVERED, Ledger
from agent.spool.limits import Figures
from agent.spool.record import Run
from agent.spool.settings import SpoolSection
from common.errors import ConfigError, RuntimeFailure
from common.kafka import KafkaSettings
from common.kafka_probe import addresses, diagnosed
from common.kafka_trouble import explained, is_of_security, kind, leaves_open_why, tells_a_cause, unusable
from common.throttle import Throttle

METADATA_SECONDS = 10.0
GIVE_UP = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_MSG_SIZE})
"""Failures that sending again cannot mend."""
OURS = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001 - the client's names
"""What ``recall`` makes of records."""
RECALL_POLLS = 40
RECALL_SECONDS = 0.005
LOOK_SECONDS = 5.0
"""How often, while Kafka refuses us, to look whether a file with a secret or a certificate has changed."""
SAY_SECONDS = 60.0
Report = Callable[[KafkaError | None, Message], None]


class KafkaDelivery:
    """Sends event batches and heartbeats. One thread calls it; callbacks run inside ``poll``."""

    def __init__(self, settings: KafkaSettings, ledger: Ledger) -> None:
        self._settings = settings
        self._topic = settings.events_topic
        self._ledger = ledger
        self._log = structlog.get_logger()
        self._throttle = Throttle(SAY_SECONDS)
        self.last_error = ""
        self.clients = 0
        """Made since the start: another one may know another secret."""
        self._producer = self._make_producer()
        self._fatal = False
        """The producer takes nothing any more, or is to be made anew."""
        self._look_at = 0.0
        self.paused = False
        """Whether the topics fit is not known yet: nothing is to go there."""
        self._waiting: deque[tuple[bytes, Ticket]] = deque()
        self._waiting_bytes = 0
        self.outstanding = Outstanding()
        self.records = 0
        self.record_bytes = 0
        self.last_delivery_ns: int | None = None
        """CLOCK_MONOTONIC of the last report of a delivery."""
        self.brokers = [Broker(*one) for one in addresses(settings.bootstrap_servers)]
        """Of the settings, and of the cluster once the topics were checked."""
        self.control_partitions = 0
        """Known once the topics were checked."""

    def _make_producer(self) -> Producer:
        """Return a client of the settings, with secrets as their files hold them now.

        Raises:
            ConfigError: a file cannot be used, or librdkafka does not know an option.
        """
        self._stamp = self._settings.security.stamp()
        self.clients += 1
        options = {**self._settings.producer(), "error_cb": self._on_error}
        try:
            return Producer(options, logger=logging.getLogger("librdkafka"))
        except KafkaException as error:
            raise ConfigError(unusable(error.args[0].str(), options)) from error

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

    def change(self, section: SpoolSection) -> None:
        """Go on with other limits of the spool, should there be one."""

    def resume(self) -> None:
        """The topics fit: what waited may go."""
        self.paused = False

    def check_topic(self, seconds: float = METADATA_SECONDS) -> None:
        """Refuse an events topic that is not cut into as many partitions as the settings have shards.

        Another thread may call it, while this one polls.

        Raises:
            TopicMismatchError: it has another number; the two ends of a connection would part.
            RuntimeFailure: no broker answers, or this topic or the one of heartbeats does not exist.
        """
        shards = self._settings.shards
        require_shards(self._topic, self._partitions(self._topic, shards, seconds), shards)
        self.control_partitions = self._partitions(self._settings.control_topic, 2, seconds)

    def _partitions(self, topic: str, wanted: int, seconds: float) -> int:
        """Return how many partitions a topic has; ``wanted`` is what to create it with."""
        try:
            cluster = self._producer.list_topics(topic, timeout=seconds)
        except KafkaException as error:
            raise RuntimeFailure(self._no_answer(error.args[0].str())) from error
        self.brokers = [Broker(one.host, one.port) for one in cluster.brokers.values()]
        found = cluster.topics[topic]
        if found.error is not None:
            raise missing(self._settings.bootstrap_servers, topic, found.error.str(), wanted)
        return len(found.partitions)

    def _no_answer(self, said: str) -> str:
        """Return why no broker of the settings answers us, as exactly as can be found out."""
        where = f"Kafka at {self._settings.bootstrap_servers}"
        if threading.current_thread() is threading.main_thread():
            self._serve(0)  # the client tells the cause in a call-back
        told = self.last_error or explained(said)
        if leaves_open_why(told):
            told = diagnosed(self._settings.bootstrap_servers, self._settings.security) or told
        if is_of_security(told) or "kafka." in told:
            return f"{where} cannot be used: {told}"
        return f"{where} does not answer ({told}): is it up, and is kafka.bootstrap-servers its address?"

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

    def send_control(self, key: bytes, value: bytes, report: Report | None = None) -> None:
        """Hand over a heartbeat; one that does not fit is replaced by the next. ``report`` may never come."""
        try:
            if not self.paused:
                self._producer.produce(self._settings.control_topic, value, key, 0, on_delivery=report)
        except (BufferError, KafkaException) as error:
            self.last_error = str(error)

    def poll(self) -> None:
        """Take delivery reports and move what waited into the queue."""
        self._serve(0)
        self._look_anew()
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
                self._tell(error.str())
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
            self.last_error = ""
            self._arrived(ticket)
        elif error.code() in GIVE_UP:
            self._fail(ticket, error)
        else:
            self._fatal |= error.fatal()
            if error.code() not in OURS:
                self._tell(error.str())
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
            self._replace()

    def _replace(self) -> None:
        old = [self._producer]
        try:
            self._producer, self._fatal = self._make_producer(), False
        except ConfigError as error:  # such as a file that is just being written: look again at the next call
            self._tell(str(error))
            return
        # Taking a client apart waits for its connections, which is not for the thread that traces.
        threading.Thread(target=old.clear, name="old-producer", daemon=True).start()

    def _look_anew(self) -> None:
        """While Kafka refuses us: where a password or a certificate was changed, go on with the new one."""
        now = time.monotonic()
        if self.last_error and now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            if self._settings.security.stamp() != self._stamp:
                self._log.info("files of kafka.security have changed: the client is made anew")
                self._fatal = True

    def _fail(self, ticket: Ticket, error: KafkaError) -> None:
        self._tell(error.str())
        self._given_up(ticket, error.name().strip("_").lower().replace("_", "-"))

    def _given_up(self, ticket: Ticket, reason: str) -> None:
        self._ledger.add("kafka", reason, ticket.events)
        self.outstanding.close(ticket)

    def _on_error(self, error: KafkaError) -> None:
        self._fatal |= error.fatal()
        self._tell(error.str())

    def _tell(self, said: str) -> None:
        """Keep what Kafka said last, unless that only is that it cannot be reached; say why it refuses us."""
        if self.last_error and not tells_a_cause(said):
            return
        self.last_error = explained(said)
        if (about := kind(said)) and (silent := self._throttle.due(about)) is not None:
            self._log.warning("Kafka refuses this client", error=self.last_error, more=silent)
