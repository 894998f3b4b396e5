# SPDX-License-Identifier: Apache-2.0
"""The same question to three: for each send the read that took its last byte, b < e <= c, in one thread.

To an SQL engine that is an ASOF join on the reads' ends (the nearest end at or above the send's), and then
the test that the read began below: reads of one flow do not overlap, so no other one can be right. The tables
are in the engine's memory before, with the four columns asked for; nothing leaves it but the answer.
"""

from typing import Any, NamedTuple

import chdb.session
import duckdb
import pyarrow as pa

from bench.latency.streams import Made
from consumer.latency import match as matcher
from consumer.latency.intervals import Receives, Sends
from consumer.latency.lines import locate, parts

_JOIN = "from {0}sends as s asof join {0}reads as r on s.flow = r.flow and s.e <= r.e where r.b < s.e"
_BOTH = "select s.flow, s.b, s.e, s.t, r.b as rb, r.e as re, r.t as rt "
_NOW = matcher.Now(broker_ms=2, expire_before=0, final=True)


class Answer(NamedTuple):
    """What all must agree on."""

    matches: int
    latency: int
    """Sum of (read ended - send started), ns."""


class Ours:
    """The consumer's matcher on the columns as the engine hands them to it."""

    def __init__(self, made: Made) -> None:
        self._made = made
        self._open = matcher.Open(made.sends, made.receives, made.arrivals, matcher.nothing().islands)

    def pairs(self) -> Answer:
        """Answer by the part of a tick that does just that: put both on a line, find the partners."""
        waiting = self._open
        matches = latency = 0
        for part in parts(*waiting, self._made.flows):
            found = matcher.pair(waiting, locate(part, *waiting[:3]))
            took = waiting.receives.time[found.receive] - waiting.sends.time[found.send]
            matches += took.size
            latency += int(took.sum())
        return Answer(matches, latency)

    def tick(self) -> Answer:
        """Answer by a whole tick: islands, what is left, what expires, and the matches' 15 columns too."""
        _, closed = matcher.match(self._open, self._made.flows, _NOW)
        return Answer(closed.sends.time.size, int((closed.receives.time - closed.sends.time).sum()))


class DuckDB:
    """Tables in the memory of a database of its own."""

    def __init__(self, made: Made) -> None:
        self._connection = duckdb.connect(":memory:", config={"threads": 1})
        for name, table in _tables(made).items():
            self._connection.register("given", table)
            self._connection.execute(f"create table {name} as select * from given")  # noqa: S608 - no one's input
            self._connection.unregister("given")

    def pairs(self) -> Answer:
        """Answer by the join."""
        return self._one("select count(*), sum(r.t - s.t)::bigint " + _JOIN.format(""))

    def tick(self) -> Answer:
        """Answer from a table of the matches, made first: seven columns."""
        self._connection.execute("create or replace temp table matched as " + _BOTH + _JOIN.format(""))
        return self._one("select count(*), sum(rt - t)::bigint from matched")

    def _one(self, query: str) -> Answer:
        row: Any = self._connection.execute(query).fetchone()
        return Answer(*row)


class ClickHouse:
    """Tables of the engine Memory, by chdb; a process can have one of these."""

    def __init__(self, made: Made) -> None:
        self._session: Any = chdb.session.Session()
        self._session.query("create database bench")
        columns = "flow Int32, b Int64, e Int64, t Int64"
        for name, table in _tables(made).items():
            given = table  # noqa: F841 - chdb finds it by its name
            self._session.query(f"create table bench.{name} ({columns}) engine = Memory")
            self._session.query(f"insert into bench.{name} select flow, b, e, t from Python(given)")  # noqa: S608 - the same
        columns += ", rb Int64, re Int64, rt Int64"
        self._session.query(f"create table bench.matched ({columns}) engine = Memory")

    def pairs(self, algorithm: str = "default") -> Answer:
        """Answer by the join, by the algorithm that it takes by itself or by one that is named."""
        settings = f" settings max_threads = 1, join_algorithm = '{algorithm}'"
        return self._one("select count(), sum(r.t - s.t) " + _JOIN.format("bench.") + settings)

    def tick(self) -> Answer:
        """Answer from a table of the matches, made first: seven columns."""
        settings = " settings max_threads = 1"
        self._session.query("truncate table bench.matched")
        self._session.query("insert into bench.matched " + _BOTH + _JOIN.format("bench.") + settings)
        return self._one(f"select count(), sum(rt - t) from bench.matched {settings}")  # noqa: S608 - no one's input

    def close(self) -> None:
        """End the session, and remove its folder."""
        self._session.close()

    def _one(self, query: str) -> Answer:
        return Answer(*(int(value) for value in str(self._session.query(query, "CSV")).split(",")))


def _tables(made: Made) -> dict[str, pa.Table]:
    return {"sends": _arrow(made.sends), "reads": _arrow(made.receives)}


def _arrow(table: Sends | Receives) -> pa.Table:
    return pa.table({"flow": table.flow, "b": table.begin, "e": table.end, "t": table.time})
