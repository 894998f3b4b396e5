# SPDX-License-Identifier: Apache-2.0
"""Reads the orders to this host from the control topic's second partition, without ever waiting for them.

No group, no stored position: each start reads all orders that compaction has left, which are few. What cannot
be read is passed over and said, a Kafka that is away keeps the last order in force.
"""

import logging
import threading
import time

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from common.errors import ConfigError
from common.kafka import KafkaSettings
from common.throttle import Throttle
from schemas.errors import RecordError
from schemas.order import ORDERS, Order, decode, newest

AT_ONCE = 100
MOST_KEYS = 1024
"""Orders kept for this host at most; the oldest give way."""
OPTIONS = {
    "auto.offset.reset": "earliest",
    # An idle partition costs a request every five seconds; an order is sent on the moment it is there.
    "fetch.wait.max.ms": 5_000,
    "fetch.message.max.bytes": 512 * 1024,
    "queued.max.messages.kbytes": 1024,
}


class Orders:
    """The orders that concern one host. One thread calls it."""

    def __init__(self, settings: KafkaSettings, host: str) -> None:
        self._settings = settings
        self._host = host
        self._consumer: Consumer | None = None
        self._orders: dict[bytes, Order] = {}
        self._next_offset = 0
        self._throttle = Throttle()
        self._log = structlog.get_logger()
        self.number = 0
        """Of the newest order that ever concerned this host."""

    def open(self, partitions: int) -> None:
        """Begin to read; ``partitions`` are those the topic has. With one only there are no orders."""
        topic = self._settings.control_topic
        if partitions <= ORDERS:
            self._log.warning("no orders: the control topic has one partition only", topic=topic)
            return
        options = {**self._settings.consumer("wirelag-agent-orders"), **OPTIONS}
        try:
            self._consumer = Consumer(options, logger=logging.getLogger("librdkafka"))
            self._consumer.assign([TopicPartition(topic, ORDERS, self._next_offset or OFFSET_BEGINNING)])
        except (KafkaException, ConfigError) as error:
            self._log.warning("no orders: they cannot be read", topic=topic, error=str(error))
            self.close()

    def renew(self) -> None:
        """Go on where it was with a client that knows the secrets of now."""
        if self._consumer is not None:
            old, self._consumer = [self._consumer], None
            self.open(ORDERS + 1)
            # Taking a client apart waits for its connections, which is not for the thread that traces.
            threading.Thread(target=lambda: old.pop().close(), name="old-orders", daemon=True).start()

    def catch_up(self, seconds: float) -> None:
        """Wait for the orders that are there already, at most so long."""
        deadline = time.monotonic() + seconds
        end = self._end(deadline)
        while self._next_offset < end and (left := deadline - time.monotonic()) > 0:
            self._take(min(left, 0.2))

    def poll(self) -> None:
        """Take what has come; returns at once."""
        self._take(0.0)

    def order(self, now_ns: int) -> Order | None:
        """Return the order that counts at a realtime moment."""
        return newest(self._orders.values(), self._host, now_ns)

    def close(self) -> None:
        """Read no more; what was read stays in force."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _end(self, deadline: float) -> int:
        """Return the Kafka offset after the last order, 0 where there is none or nobody says."""
        if self._consumer is None:
            return 0
        place = TopicPartition(self._settings.control_topic, ORDERS)
        while (left := deadline - time.monotonic()) > 0:
            try:
                low, high = self._consumer.get_watermark_offsets(place, timeout=left)
            except KafkaException as refused:
                if refused.args[0].retriable():
                    continue  # such as a partition that has no leader yet
                self._say("orders cannot be read", error=str(refused))
                break
            return high if high > low else 0
        return 0

    def _take(self, timeout: float) -> None:
        if self._consumer is None:
            return
        try:
            messages = self._consumer.consume(AT_ONCE, timeout)
        except KafkaException as refused:
            self._say("orders cannot be read", error=str(refused))
            return
        for message in messages:
            error = message.error()
            if error is None:
                self._learn(message.key() or b"", message)
                self._next_offset = (message.offset() or 0) + 1
            else:
                self._say("orders cannot be read", error=error.str())

    def _learn(self, key: str | bytes, message: Message) -> None:
        key, value = key.encode() if isinstance(key, str) else key, message.value()
        if value is None:
            self._orders.pop(key, None)
            return
        try:
            order = decode(value)
        except RecordError as error:
            self._say("an order cannot be read", kafka_offset=message.offset(), error=str(error))
            return
        if not order.concerns(self._host):
            self._orders.pop(key, None)
            return
        self._orders[key] = order
        self.number = max(self.number, order.number)
        if len(self._orders) > MOST_KEYS:
            del self._orders[min(self._orders, key=lambda one: self._orders[one].number)]

    def _say(self, what: str, **more: object) -> None:
        if (silent := self._throttle.due(what)) is not None:
            self._log.warning(what, more=silent, **more)
