# SPDX-License-Identifier: Apache-2.0
"""The lake as an earlier version knew it, for tests of what is made of its tables now."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from lake import parquet
from schemas.tables import KINDS, facts_schema

LATER_KINDS = {"agent", "connect", "close", "retransmit", "exchange"}
LATER_COLUMNS = {"opener_pid", "opener", "marks"}
LATER_PROGRESS = {"told"}


def connection_columns() -> pa.Schema:
    """Return the columns that ends of connections had."""
    return pa.schema([field for field in KINDS["connection"] if field.name not in LATER_COLUMNS])


def progress_columns() -> pa.Schema:
    """Return the columns that progress rows had."""
    return pa.schema([field for field in KINDS["progress"] if field.name not in LATER_PROGRESS])


def unmatched_columns() -> pa.Schema:
    """Return the columns that unmatched rows had."""
    names = KINDS["unmatched"].names
    return pa.schema([KINDS["unmatched"].field(name) for name in names[: names.index("weight")]])


@contextmanager
def earlier_tables() -> Iterator[None]:
    """Let this process be of the version before connects, closes and retransmits, openers and marks."""
    present = dict(KINDS)
    changed = {kind: schema for kind, schema in present.items() if kind not in LATER_KINDS}
    older = {
        "connection": connection_columns(),
        "progress": progress_columns(),
        "unmatched": unmatched_columns(),
    }
    _become(changed | older)
    try:
        assert not (LATER_COLUMNS | LATER_PROGRESS) & set(facts_schema().names)
        yield
    finally:
        _become(present)


def _become(kinds: dict[str, pa.Schema]) -> None:
    KINDS.clear()
    KINDS.update(kinds)
    parquet._options.cache_clear()
