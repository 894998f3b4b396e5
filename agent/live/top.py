# SPDX-License-Identifier: Apache-2.0
"""``wirelag-agent top``: what the host's connections (or processes) did in the last interval.

A connection's row is one end of it on this host; with both ends here it has two rows. Deliveries are those of
the messages it sent whose reader is here too; receive waits are those of its reads, by their last byte.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np

from agent.live import show, tally
from agent.live.choice import Choice
from agent.live.keys import Controls
from agent.live.pairs import ELSEWHERE_NS, Pairs, split
from agent.live.source import Live, Step
from schemas.batch import Process
from schemas.event import Flag, Kind

ROLES = ("unknown", "active", "passive")


class Line(msgspec.Struct, kw_only=True, frozen=True):
    """One row. By process, the addresses are null; what is not known is null."""

    pid: int
    name: str
    local: str | None
    remote: str | None
    role: str | None
    """``active``: it opened the connection."""
    sent_bytes: int
    received_bytes: int
    messages: int
    """Sends that ended."""
    reads: int
    delivered: int
    """Messages read on this host."""
    delivery_p50_ns: int | None
    delivery_p99_ns: int | None
    wait_p50_ns: int | None
    wait_p99_ns: int | None
    rtt_us: int
    """The largest smoothed round trip that the kernel had."""
    retransmitted_bytes: int
    """Sent again; by process those of connections it used in the interval."""

    @property
    def who(self) -> str:
        """Name and number of the process."""
        return f"{show.clean(self.name) or '?'}[{self.pid}]"


class Table(msgspec.Struct, kw_only=True, frozen=True):
    """One interval of ``top --json``."""

    kind: str = "top"
    time_ns: int
    """Unix time of its end."""
    seconds: float
    by: str
    sort: str
    shown: int
    total: int
    """Rows before ``--rows`` cut them."""
    left_out: int
    """Additions for rows beyond those that memory is kept for."""
    rows: list[Line]


class Summary(msgspec.Struct, kw_only=True, frozen=True):
    """The last line, on the whole time."""

    kind: str = "summary"
    messages: int
    sent_bytes: int
    lost: int
    """Events that did not come here."""


SORT: dict[str, Callable[[Line], float]] = {
    "bytes": lambda line: line.sent_bytes + line.received_bytes,
    "messages": lambda line: line.messages + line.reads,
    "p50": lambda line: line.delivery_p50_ns or -1,
    "p99": lambda line: line.delivery_p99_ns or -1,
    "wait": lambda line: line.wait_p99_ns or -1,
    "rtt": lambda line: line.rtt_us,
    "retransmits": lambda line: line.retransmitted_bytes,
}


class Plan(NamedTuple):
    """How often, and how much."""

    interval: float
    """Seconds."""
    rows: int
    once: bool
    now: Callable[[], float]


class Screen(NamedTuple):
    """Where tables go, and where keys come from."""

    draw: Callable[[Table, Controls], None]
    pressed: Callable[[], str]
    """The keys pressed since it was last called."""
    end: Callable[[Summary], None]


class Top:
    """A ``Program`` of live steps."""

    def __init__(self, live: Live, choice: Choice, plan: Plan, controls: Controls, screen: Screen) -> None:
        self._live, self._choice, self._plan = live, choice, plan
        self._controls, self._screen = controls, screen
        self._pairs = Pairs(ELSEWHERE_NS, live.is_here)
        self._tallies = {"connection": tally.Tally(), "process": tally.Tally()}
        self._started = plan.now()
        self._messages = self._bytes = 0
        self._drawn = False

    def take(self, step: Step) -> bool:
        """Add a step; draw where the interval has passed."""
        self._add(step)
        before = (self._controls.by, self._controls.sort, self._controls.text)
        for key in self._screen.pressed():
            self._controls.press(key)
        changed = before != (self._controls.by, self._controls.sort, self._controls.text)
        due = self._plan.now() - self._started >= self._plan.interval
        if due or changed:
            self._draw()
        if due:
            self._forget()
        return self._controls.ended or (due and self._plan.once)

    def finish(self, step: Step) -> None:
        """Draw what came since, unless one table was asked for, which there was."""
        self._add(step)
        if not (self._plan.once and self._drawn):
            self._draw()
        if not self._plan.once:
            self._screen.end(self._summary())

    def _summary(self) -> Summary:
        return Summary(messages=self._messages, sent_bytes=self._bytes, lost=self._live.lost)

    def _add(self, step: Step) -> None:
        new = split(step)
        ends = new.sends["flags"] & int(Flag.LAST_PIECE) != 0
        self._messages += int(ends.sum())
        self._bytes += int((new.sends["end"] - new.sends["begin"]).sum())
        closed = self._pairs.take(new, step.until_ns)
        waits = self._pairs.waits(new.reads)
        for field, one in (("flow", self._tallies["connection"]), ("process", self._tallies["process"])):
            one.sends(new.sends[field], new.sends, ends)
            one.reads(new.reads[field], new.reads)
            one.deliveries(closed.sends[field], closed.delivery_ns)
            one.waits(new.reads[field], waits)
        self._retransmits(step)

    def _retransmits(self, step: Step) -> None:
        """Add segments sent again: by process to whoever used the connection last."""
        found = np.flatnonzero(step.events["kind"] == Kind.RETRANSMIT)
        if not found.size:
            return
        flow, length = step.flow[found], step.events["length"][found].astype(np.int64)
        connections, processes = self._tallies["connection"], self._tallies["process"]
        connections.retransmits(flow, length)
        processes.retransmits(np.array([connections.owner(one) for one in flow.tolist()]), length)

    def _forget(self) -> None:
        self._tallies = {name: tally.Tally() for name in self._tallies}
        self._started = self._plan.now()

    def _draw(self) -> None:
        self._drawn = True
        self._screen.draw(self._table(), self._controls)

    def _table(self) -> Table:
        by = self._controls.by
        lines = [self._line(index, row, by) for index, row in self._tallies[by].rows.items()]
        wanted = [line for line in lines if self._wants(line)]
        wanted.sort(key=SORT[self._controls.sort], reverse=True)
        shown = wanted[: self._plan.rows]
        return Table(
            time_ns=time.time_ns(),
            seconds=self._plan.now() - self._started,
            by=by,
            sort=self._controls.sort,
            shown=len(shown),
            total=len(wanted),
            left_out=self._tallies[by].left_out,
            rows=shown,
        )

    def _wants(self, line: Line) -> bool:
        text = self._controls.text
        parts = (line.who, line.local or "", line.remote or "")
        return self._choice.wants(Process(line.pid, line.name)) and any(text in part for part in parts)

    def _line(self, index: int, row: tally.Row, by: str) -> Line:
        flow = self._live.flow(index) if by == "connection" else None
        process = self._live.process(index if by == "process" else row.owner)
        return Line(
            pid=process.pid,
            name=process.name,
            local=show.local(flow) if flow else None,
            remote=show.remote(flow) if flow else None,
            role=ROLES[flow.role] if flow else None,
            sent_bytes=row.sent_bytes,
            received_bytes=row.received_bytes,
            messages=row.messages,
            reads=row.reads,
            delivered=row.deliveries.total(),
            delivery_p50_ns=tally.quantile(row.deliveries, 0.5),
            delivery_p99_ns=tally.quantile(row.deliveries, 0.99),
            wait_p50_ns=tally.quantile(row.waits, 0.5),
            wait_p99_ns=tally.quantile(row.waits, 0.99),
            rtt_us=row.rtt_us,
            retransmitted_bytes=row.retransmits,
        )
