# SPDX-License-Identifier: Apache-2.0
"""What is handed to Kafka and what came of it. No client is imported here."""

from typing import NamedTuple


class Outgoing(NamedTuple):
    """One record to be produced."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Delivery(NamedTuple):
    """What came of a batch of records."""

    delivered: int
    failed: int
    """May be delivered all the same; to be sent again."""
    refused: int
    """Will never be taken as they are."""
    reason: str
    """Of the first that was not delivered, empty where all were."""
