# SPDX-License-Identifier: Apache-2.0
"""The one adapter to confluent-kafka's producer: acknowledged by all replicas, every outcome counted.

``send`` returns when each record is delivered, refused or given up after the delivery timeout; it never
raises for what Kafka does. After a failure the producer is made anew: no state of a broken one is left.
"""

import logging
import time
from collections.abc import Callable, Iterable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from common.errors import ConfigError
from common.kafka_security import Options
from consumer.publish.message import Delivery, Outgoing

SEND_SECONDS = 20.0
_REFUSED = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - the client's own name for it
        KafkaError._INVALID_ARG,  # noqa: SLF001 - the client's own name for it
    }
)


class Sender:
    """Sends batches of records and waits for what becomes of them."""

    def __init__(self, options: Options, clock: Callable[[], float] = time.monotonic) -> None:
        timeout_ms = min(int(options.get("delivery.timeout.ms", 120_000)), int(SEND_SECONDS * 1000))
        own = {"delivery.timeout.ms": timeout_ms, "linger.ms": 5, "topic.metadata.propagation.max.ms": 2_000}
        self._options = {**options, **own}
        self._clock = clock
        # Made at once, so that its connection and producer id are there when the first record is.
        self._producer: Producer | None = self._open()

    def send(self, batch: Iterable[Outgoing]) -> Delivery:
        """Produce all and wait; at most about twice the delivery timeout."""
        outcome = _Outcome()
        producer = self._producer or self._open()
        for record in batch:
            self._produce(producer, record, outcome)
        outcome.missing(producer.flush(SEND_SECONDS * 1.5))
        self._producer = None if outcome.failed else producer
        return Delivery(outcome.delivered, outcome.failed, outcome.refused, outcome.reason)

    def _open(self) -> Producer:
        try:
            return Producer(self._options, logger=logging.getLogger("librdkafka"))
        except KafkaException as error:
            raise ConfigError(f"Kafka producer: {error.args[0].str()}") from error

    def _produce(self, producer: Producer, record: Outgoing, outcome: "_Outcome") -> None:
        """Hand one record over, waiting for room where the client's queue is full."""
        deadline = self._clock() + SEND_SECONDS
        while True:
            try:
                producer.produce(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    on_delivery=outcome.reported,
                )
            except BufferError:
                if self._clock() > deadline:
                    outcome.missing(1)
                    return
                producer.poll(0.1)
            except KafkaException as error:
                outcome.add(error.args[0])
                return
            else:
                return


class _Outcome:
    """Counts delivery reports."""

    def __init__(self) -> None:
        self.delivered = self.failed = self.refused = 0
        self.reason = ""

    def reported(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.delivered += 1
        else:
            self.add(error)

    def add(self, error: KafkaError) -> None:
        self.reason = self.reason or error.str()
        if error.code() in _REFUSED:
            self.refused += 1
        else:
            self.failed += 1

    def missing(self, count: int) -> None:
        if count:
            self.reason = self.reason or "no delivery report in time"
            self.failed += count
