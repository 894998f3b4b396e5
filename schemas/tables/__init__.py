# SPDX-License-Identifier: Apache-2.0
"""Columns of the lake's one table ``facts``, by kind. Only this package of the contracts needs pyarrow.

Every kind's files hold the columns listed for it and three to partition by: ``kind``, ``date``, ``hour``.
64-bit hashes are stored as signed integers of the same bits, as Delta has no unsigned type.
"""

import pyarrow as pa

from schemas.tables.accounts import AGENT, LEDGER, PROGRESS
from schemas.tables.clocks import CLOCK, CLOCK_SOLUTION, READING
from schemas.tables.connections import CLOSE, CONNECT, CONNECTION, RETRANSMIT
from schemas.tables.matches import EXCHANGE, HISTOGRAM, LATE, MATCH, SLOWEST, UNMATCHED
from schemas.tables.rollup import EXEMPLAR, ROLLUP, SLOWEST_KEPT

__all__ = [
    "GREW",
    "HISTOGRAM",
    "KINDS",
    "LATE",
    "MATCH",
    "PARTITION_COLUMNS",
    "SLOWEST",
    "SLOWEST_KEPT",
    "facts_schema",
]

PARTITION_COLUMNS = ("kind", "date", "hour")

KINDS: dict[str, pa.Schema] = {
    "match": MATCH,
    "histogram": HISTOGRAM,
    "connection": CONNECTION,
    "unmatched": UNMATCHED,
    "exchange": EXCHANGE,
    "ledger": LEDGER,
    "agent": AGENT,
    "connect": CONNECT,
    "close": CLOSE,
    "retransmit": RETRANSMIT,
    "reading": READING,
    "clock": CLOCK,
    "clock_solution": CLOCK_SOLUTION,
    "rollup": ROLLUP,
    "exemplar": EXEMPLAR,
    "progress": PROGRESS,
}


GREW = frozenset({"match", "histogram", "connection", "unmatched", "progress"})
"""Kinds that got columns, at their end, since their first version: files from before lack them (null)."""


def facts_schema() -> pa.Schema:
    """Return the table's schema: the partition columns and the union of all kinds' columns."""
    fields = {
        "kind": pa.field("kind", pa.string()),
        "date": pa.field("date", pa.string()),
        "hour": pa.field("hour", pa.int32()),
    }
    for schema in KINDS.values():
        for field in schema:
            known = fields.setdefault(field.name, field)
            if known.type != field.type:
                message = f"column {field.name} is {known.type} in one kind and {field.type} in another"
                raise TypeError(message)
    return pa.schema(list(fields.values()))
