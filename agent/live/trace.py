# SPDX-License-Identifier: Apache-2.0
"""``wirelag-agent trace``: one line a message, from its send to the read that took its last byte.

A message is one send call. Where both ends are on this host its delivery, wire and receive wait are exact
differences of one clock; where the receiver is elsewhere the line comes after a short wait, without them.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from agent.live import show
from agent.live.choice import Choice
from agent.live.pairs import Messages, Pairs, split
from agent.live.source import Live, Step, Wall
from schemas.event import Flag

_SKIPPED = int(Flag.FIRST_PIECE | Flag.LAST_PIECE)
HEAD = ("TIME (UTC)", "SENDER", "FROM", "TO", "BYTES", "BLOCK", "DELIVERY", "WIRE", "WAIT", "RECEIVER")
WIDTHS = (15, 22, 21, 21, 9, 8, 8, 8, 8, 0)
NUMBERS = range(4, 9)


class Message(msgspec.Struct, kw_only=True, frozen=True):
    """One line of ``trace --json``. Times are nanoseconds; what is not known is null."""

    kind: str = "message"
    time_ns: int
    """Unix time at which the send started."""
    sender_pid: int
    sender_name: str
    sender_thread: int
    local: str
    """Address and port of the sender."""
    remote: str
    bytes: int
    """Of the whole call."""
    position: int
    """Stream position of the call's last piece."""
    send_block_ns: int
    delivery_ns: int | None
    wire_ns: int | None
    receive_wait_ns: int | None
    receiver_here: bool
    """Whether the other end is on this host."""
    receiver_pid: int | None
    receiver_name: str | None
    rtt_us: int
    """The kernel's smoothed round trip at the sender."""
    marks: list[str]


class Trace:
    """A ``Program`` of live steps."""

    def __init__(self, live: Live, choice: Choice, elsewhere_ns: int, *, json: bool) -> None:
        self._live, self._choice, self._json = live, choice, json
        self._wall = Wall.now()
        self._pairs = Pairs(elsewhere_ns, live.is_here)
        self._encoder = msgspec.json.Encoder()
        self._shown = self._delivered = 0
        if not json:
            _print(HEAD)

    def take(self, step: Step) -> bool:
        """Print the messages that a step closes."""
        self._show(self._pairs.take(split(step), step.until_ns))
        return False

    def finish(self, step: Step) -> None:
        """Print all that still waits, and a summary."""
        self._show(self._pairs.take(split(step), step.until_ns, final=True))
        lost = self._live.lost
        told = {"kind": "summary", "messages": self._shown, "delivered_here": self._delivered, "lost": lost}
        if self._json:
            self._out(self._encoder.encode(told).decode())
        else:
            self._out(
                f"{self._shown} messages, {self._delivered} of them delivered on this host; "
                f"{show.losses(lost)}"
            )

    def _show(self, messages: Messages) -> None:
        self._wall = Wall.now()
        for one in self._chosen(messages):
            self._shown += 1
            self._delivered += one.delivery_ns is not None
            if self._json:
                self._out(self._encoder.encode(one).decode())
            else:
                _print(_cells(one))

    def _chosen(self, messages: Messages) -> Iterator[Message]:
        figures = (messages.delivery_ns, messages.wire_ns, messages.wait_ns)
        columns = [column.tolist() for column in figures]
        for at, (send, read) in enumerate(zip(messages.sends, messages.reads, strict=True)):
            sender = self._live.process(int(send["process"]))
            matched = int(read["time_ns"]) >= 0
            receiver = self._live.process(int(read["process"])) if matched else None
            if self._choice.wants(sender) or self._choice.wants(receiver):
                delivery, wire, wait = (column[at] for column in columns)
                yield self._message(send, read, delivery, wire, wait)

    def _message(self, send: Any, read: Any, delivery: int, wire: int, wait: int) -> Message:  # noqa: ANN401 - rows
        flow = self._live.flow(int(send["flow"]))
        sender = self._live.process(int(send["process"]))
        matched = int(read["time_ns"]) >= 0
        receiver = self._live.process(int(read["process"])) if matched else None
        flags = (int(send["flags"]) | int(read["flags"])) & ~_SKIPPED
        return Message(
            time_ns=self._wall.unix_ns(int(send["time_ns"])),
            sender_pid=sender.pid,
            sender_name=sender.name,
            sender_thread=int(send["tid"]),
            local=show.local(flow),
            remote=show.remote(flow),
            bytes=int(send["call_bytes"]),
            position=int(send["begin"]),
            send_block_ns=int(send["duration_ns"]),
            delivery_ns=show.known(delivery),
            wire_ns=show.known(wire),
            receive_wait_ns=show.known(wait),
            receiver_here=matched or self._live.is_here(int(send["key"])),
            receiver_pid=receiver.pid if receiver else None,
            receiver_name=receiver.name if receiver else None,
            rtt_us=int(send["srtt_us"]),
            marks=[(flag.name or "").lower().replace("_", "-") for flag in Flag if flag & flags],
        )

    @staticmethod
    def _out(text: str) -> None:
        print(text, flush=True)


def _cells(one: Message) -> tuple[str, ...]:
    if one.receiver_name is not None:
        receiver = f"{show.clean(one.receiver_name) or '?'}[{one.receiver_pid}]"
    else:
        receiver = "not read yet" if one.receiver_here else "elsewhere"
    return (
        show.clock(one.time_ns),
        f"{show.clean(one.sender_name) or '?'}[{one.sender_pid}]",
        one.local,
        one.remote,
        str(one.bytes),
        show.duration(one.send_block_ns),
        show.duration(one.delivery_ns),
        show.duration(one.wire_ns),
        show.duration(one.receive_wait_ns),
        " ".join([receiver, *one.marks]),
    )


def _print(cells: tuple[str, ...]) -> None:
    padded = (
        cell.rjust(width) if at in NUMBERS else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    print("  ".join(padded).rstrip(), flush=True)
