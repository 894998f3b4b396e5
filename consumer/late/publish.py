# SPDX-License-Identifier: Apache-2.0
"""What a look led to as records of the latency topic, each at least once, marked late.

Their ids are made of the lake's own id and of the look, so one that is sent again is known.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

import pyarrow as pa
import structlog

from common.errors import RuntimeFailure
from consumer.publish import latency
from consumer.publish.message import Delivery, Outgoing

log = structlog.get_logger()
Publish = Callable[[str, pa.Table], None]
"""Sends histogram rows of a lake, named by its id; raises RuntimeFailure where they are to be sent again."""


class Sender(Protocol):
    """What is needed of Kafka to send."""

    def send(self, batch: Iterable[Outgoing]) -> Delivery:
        """Send all and wait for what becomes of them."""


def publisher(sender: Sender, topic: str) -> Publish:
    """Return what sends rows to a topic."""

    def publish(lake_id: str, rows: pa.Table) -> None:
        delivery = sender.send(latency.outgoing(topic, f"late/{lake_id}", rows, late=True))
        if delivery.failed:
            raise RuntimeFailure(
                f"{delivery.failed} late latencies were not published: {delivery.reason}; the next look "
                "sends them again"
            )
        if delivery.refused:
            log.warning("late latencies were refused", refused=delivery.refused, why=delivery.reason)

    return publish


def packed(rows: pa.Table) -> bytes:
    """Return rows as bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def unpacked(content: bytes) -> pa.Table:
    """Return the rows that ``packed`` was given."""
    return pa.ipc.open_stream(content).read_all()
