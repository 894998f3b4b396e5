# SPDX-License-Identifier: Apache-2.0
"""``wirelag-agent life``: one line a connection that closed, told by the kernel at that moment.

A line is one end: a connection with both ends on this host gives two. The process is the one that last sent
or read, else the one that connected; of an accepted one that nobody used since the start it is not known.
Closed is when TCP is done with the socket, which may be after the program's own close (what it sent is still
acknowledged); TIME_WAIT is not waited for.
"""

from typing import Any

import msgspec

from agent.live import show
from agent.live.choice import Choice
from agent.live.source import Live, Step, Wall
from schemas.batch import Flow, Mark, Process

LIMIT = 65_536
ROLES = ("unknown", "active", "passive")
ENDS = {
    1: "aborted",
    2: "refused",
    3: "never-open",
    4: "unanswered",
    5: "closed-first",
    6: "closed-first",
    8: "aborted",
    9: "closed-last",
    11: "closed-together",
}
"""By TCP state before the end (include/net/tcp_states.h)."""
HEAD = ("TIME (UTC)", "PROCESS", "ROLE", "LOCAL", "REMOTE", "DURATION", "SENT", "RECEIVED", "RTT", "END")
WIDTHS = (15, 22, 7, 21, 21, 8, 8, 8, 8, 0)
NUMBERS = range(5, 9)


class Closed(msgspec.Struct, kw_only=True, frozen=True):
    """One line of ``life --json``. What is not known is null."""

    kind: str = "closed"
    time_ns: int
    """Unix time of the end."""
    pid: int | None
    name: str | None
    role: str
    """``active``: this end opened the connection."""
    local: str | None
    remote: str | None
    duration_ns: int | None
    """From the SYN that left or came; null where the opening was not seen."""
    sent_bytes: int
    """Given to the stream by this end, acknowledged or not."""
    received_bytes: int
    """In this kernel, read or not."""
    retransmitted_bytes: int
    rtt_us: int
    """The kernel's smoothed round trip at the end; 0 where it had none."""
    end: str
    """closed-first, closed-last, closed-together, unanswered (its FIN), aborted, refused, never-open."""
    marks: list[str]


class Life:
    """A ``Program`` of live steps."""

    def __init__(self, live: Live, choice: Choice, *, json: bool) -> None:
        self._live, self._choice, self._json = live, choice, json
        self._users: dict[int, Process] = {}
        self._encoder = msgspec.json.Encoder()
        self._shown = self._sent = self._received = 0
        if not json:
            _print(HEAD)

    def take(self, step: Step) -> bool:
        """Print the connections that ended."""
        self._remember(step)
        wall = Wall.now()
        for row in step.closes:
            self._close(row, wall)
        return False

    def finish(self, step: Step) -> None:
        """Print the last ones and a summary."""
        self.take(step)
        counters = self._live.counters
        lost = counters.facts.lost + counters.facts.nested if counters else 0
        figures = {"sent_bytes": self._sent, "received_bytes": self._received, "facts_lost": lost}
        if self._json:
            told = {"kind": "summary", "closed": self._shown, **figures}
            print(self._encoder.encode(told).decode(), flush=True)
            return
        moved = f"{show.size(self._sent)} sent, {show.size(self._received)} received"
        print(f"{self._shown} ends of connections closed, {moved}; {lost} facts lost", flush=True)

    def _remember(self, step: Step) -> None:
        """Keep for each end the process that used it last."""
        called = step.process > 0
        events, processes = step.events[called], step.process[called]
        pairs = events["iss"].astype("u8") << 32 | events["irs"]
        last = dict(zip(pairs.tolist(), processes.tolist(), strict=True))
        for pair, index in last.items():
            self._users.pop(pair, None)
            self._users[pair] = self._live.process(index)
        while len(self._users) > LIMIT:
            del self._users[next(iter(self._users))]

    def _close(self, row: Any, wall: Wall) -> None:  # noqa: ANN401 - one of CLOSE_DTYPE
        pair = int(row["iss"]) << 32 | int(row["irs"])
        process = self._users.pop(pair, None)
        if not self._choice.wants(process):
            return
        index = self._live.directory.flows.index(pair)
        one = _closed(row, wall, process, self._live.flow(index) if index >= 0 else None)
        self._shown += 1
        self._sent += one.sent_bytes
        self._received += one.received_bytes
        if self._json:
            print(self._encoder.encode(one).decode(), flush=True)
        else:
            _print(_cells(one))


def _closed(row: Any, wall: Wall, process: Process | None, flow: Flow | None) -> Closed:  # noqa: ANN401
    opened = int(row["opened_ns"])
    flags = int(row["flags"])
    return Closed(
        time_ns=wall.unix_ns(int(row["time_ns"])),
        pid=process.pid if process else None,
        name=process.name if process else None,
        role=ROLES[int(row["role"])],
        local=show.local(flow) if flow else None,
        remote=show.remote(flow) if flow else None,
        duration_ns=int(row["time_ns"]) - opened if opened else None,
        sent_bytes=int(row["sent_bytes"]),
        received_bytes=int(row["received_bytes"]),
        retransmitted_bytes=int(row["retransmitted_bytes"]),
        rtt_us=int(row["srtt_us"]),
        end=ENDS.get(int(row["state"]), "unknown"),
        marks=[(flag.name or "").lower().replace("_", "-") for flag in Mark if flag & flags],
    )


def _cells(one: Closed) -> tuple[str, ...]:
    again = [f"retransmitted {show.size(one.retransmitted_bytes)}"] if one.retransmitted_bytes else []
    return (
        show.clock(one.time_ns),
        show.process(Process(one.pid, one.name or "") if one.pid else None),
        one.role,
        one.local or show.UNKNOWN,
        one.remote or show.UNKNOWN,
        show.duration(one.duration_ns),
        show.size(one.sent_bytes),
        show.size(one.received_bytes),
        show.duration(one.rtt_us * 1000) if one.rtt_us else show.UNKNOWN,
        " ".join([one.end, *again, *one.marks]),
    )


def _print(cells: tuple[str, ...]) -> None:
    padded = (
        cell.rjust(width) if at in NUMBERS else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    print("  ".join(padded).rstrip(), flush=True)
