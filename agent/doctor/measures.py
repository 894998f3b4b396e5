# SPDX-License-Identifier: Apache-2.0
"""For each kind of latency: is it exact here, given with a mark, or not to be had, and why."""

from typing import Literal, NamedTuple

import msgspec

from agent.doctor.checks import Examined

Quality = Literal["exact", "marked", "unavailable"]
SEND = ("tcp_sendmsg_locked", "sock_send_length")
READ = ("tcp_rcv_space_adjust", "sock_recv_length")
ARRIVAL = ("sk_data_ready",)
CLOSE = ("inet_sock_set_state",)


class Measure(msgspec.Struct, frozen=True):
    """One kind of latency on this host."""

    name: str
    quality: Quality
    why: str


class _Kind(NamedTuple):
    name: str
    hooks: tuple[str, ...]
    quality: Quality
    why: str


KINDS = (
    _Kind("send-block", SEND, "exact", "one host's clock"),
    _Kind("receive-wait", READ + ARRIVAL, "exact", "one host's clock; late arrivals are marked backlog"),
    _Kind("delivery on this host", SEND + READ, "exact", "both ends read one clock"),
    _Kind("wire on this host", SEND + ARRIVAL, "exact", "both ends read one clock"),
    _Kind("server turn", READ + SEND, "exact", "one host's clock; not where requests overtake responses"),
    _Kind("client turn", READ + SEND, "exact", "one host's clock; not where requests overtake responses"),
    _Kind("network time", READ + SEND, "exact", "with the other host's agent; no clock is compared"),
    _Kind("rtt", SEND, "exact", "the kernel's own smoothed figure"),
    _Kind("connection duration", CLOSE, "exact", "null for connections older than the agent"),
    _Kind(
        "delivery between hosts",
        SEND + READ,
        "marked",
        "within a bound, by traffic both ways; withheld where clocks stay unsynced",
    ),
    _Kind(
        "wire between hosts",
        SEND + ARRIVAL,
        "marked",
        "within a bound, by traffic both ways; withheld where clocks stay unsynced",
    ),
)


def measures(examined: Examined, *, article: str | None) -> list[Measure]:
    """Return every kind; ``article`` is why there is no tcp_time of the article's here (None: there is)."""
    bad = [check.name for check in examined.checks if check.state == "bad" and check.name != "hooks"]
    found = [_judge(kind, bad, examined.missing_hooks) for kind in KINDS]
    name = "article's tcp_time"
    if article is None:
        return [*found, Measure(name, "marked", "any socket, any thread's softirq: see docs/article.md")]
    return [*found, Measure(name, "unavailable", article)]


def _judge(kind: _Kind, bad: list[str], missing: list[str]) -> Measure:
    if bad:
        return Measure(kind.name, "unavailable", f"the agent cannot run here: {', '.join(bad)}")
    lacking = [place for place in kind.hooks if place in missing]
    if lacking:
        return Measure(kind.name, "unavailable", f"no hook {', '.join(lacking)}")
    if missing:
        return Measure(kind.name, "unavailable", f"this version needs all its hooks: no {', '.join(missing)}")
    return Measure(kind.name, kind.quality, kind.why)
