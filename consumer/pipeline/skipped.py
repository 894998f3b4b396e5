# SPDX-License-Identifier: Apache-2.0
"""The ledger's row for records that Kafka deleted before they were read (``consumer.on-truncated``).

It counts records, under no host, since nobody can know any more whose they were. The events in them are told
by their hosts' next batches, which count up: as ``gap``, by the engine, each once.
"""

import time

import pyarrow as pa

from consumer.engine import rows
from consumer.engine.arrow import Place
from consumer.engine.ledger import STAGE, counted
from consumer.source.topics import Partition

REASON = "truncated"
_MS = 1_000_000
_NO_TICK = 0


def truncated(partition: Partition, records: int) -> pa.Table:
    """Return the row, filed under the moment at which the gap was found: no broker tells another."""
    now_ms = time.time_ns() // _MS
    place = Place(partition.number, _NO_TICK, now_ms)
    return rows.ledger(place, [counted(("", "", 0, STAGE, REASON), now_ms * _MS, records)])
