# SPDX-License-Identifier: Apache-2.0
"""Questions to a lake whose files an earlier version wrote: what they lack is not known, nothing fails."""

import pytest

from history.connections import connections
from history.engine import Engine, LocalFiles
from history.losses import losses
from history.source import Source
from history.span import Span
from lake import delta
from schemas.tables import GREW
from support.earlier import earlier_tables
from support.rows import START, Write, ledger

SPAN = Span(START, START + 10**9)
END = {"connection": 7, "endpoint": 0, "host": "alpha", "role": 1, "first_seen_ns": START}


@pytest.fixture
def earlier(write: Write) -> Source:
    """A lake without connects, closes, retransmits, openers and marks, with one end."""
    with earlier_tables():
        return write(connection=[END], ledger=[ledger("alpha", "kernel", "attempted", 5)])


def test_what_a_file_lacks_is_null(earlier: Source, write: Write) -> None:
    """Read by its present columns, alone and beside files that have them."""
    ask = "SELECT first_seen_ns - $from_ns AS place, opener, marks FROM connection ORDER BY place"
    none = {"place": 0, "opener": None, "marks": None}
    with earlier.engine({"connection": SPAN}) as engine:
        assert engine.rows(ask, {"from_ns": START}) == [none]
    later = write(connection=[END | {"first_seen_ns": START + 1, "opener": "curl", "marks": 4}])
    with later.engine({"connection": SPAN}) as engine:
        found = engine.rows(ask, {"from_ns": START})
    assert found == [none, {"place": 1, "opener": "curl", "marks": 4}]


def test_the_same_from_an_object_store(
    earlier: Source, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the lake's own file system, here of local files."""
    write(connection=[END | {"first_seen_ns": START + 1, "opener": "curl", "marks": 4}])
    monkeypatch.setattr(delta, "local_root", lambda _uri: None)
    with Source(f"file://{earlier.uri}").engine({"connection": SPAN}) as engine:
        found = engine.rows("SELECT opener FROM connection ORDER BY first_seen_ns")
    assert found == [{"opener": None}, {"opener": "curl"}]


def test_questions_of_kinds_that_are_not_there_are_answered(earlier: Source) -> None:
    """Connections and losses of a lake that only this version's reader opened."""
    (end,) = connections(earlier, SPAN)
    assert (end["connection"], end["role"]) == ("0000000000000007", "opened")
    assert [row["events"] for row in losses(earlier, SPAN)] == [5]


def test_only_kinds_that_grew_are_read_the_slow_way(write: Write) -> None:
    """Files of other kinds are alike, so their ends need not be read to know the columns."""
    source = write(connection=[END], ledger=[ledger("alpha", "kernel", "attempted", 5)])
    tables = {kind: source._table(kind, SPAN) for kind in ("connection", "ledger")}
    found = {kind: table.columns is not None for kind, table in tables.items()}
    assert all(isinstance(table, LocalFiles) for table in tables.values())
    assert found == {kind: kind in GREW for kind in tables}
    with Engine(tables) as engine:
        assert engine.rows("SELECT count(*) AS n FROM connection") == [{"n": 1}]
