# SPDX-License-Identifier: Apache-2.0
"""The kernel's round trips, one of each account of an end, under the edge of what it sends."""

from schemas.batch import FULL_RATE
from schemas.event import Kind
from tests.consumer.engine.scene import Host, Topic, close, ends, receive, send
from tests.consumer.engine.traffic import run

RATE = FULL_RATE // 4


def figures(**head: int) -> list[tuple[object, ...]]:
    """Both ends tell two accounts, the server's first without a round trip."""
    pair, topic = ends(), Topic()
    told = {0: (40, 60), 1: (0, 900)}
    for at, name in enumerate(("alpha", "beta")):
        rows = {
            Kind.SEND: [send(0, 10, 0)],
            Kind.RECEIVE: [receive(0, 10, 90)],
            Kind.CLOSE: [close(100 + number, srtt_us=srtt) for number, srtt in enumerate(told[at])],
        }
        topic.put(at, Host(name).batch([pair[at]], rows, **head))
    names = ("edge", "sender_host", "clock", "n", "seen", "sum_ns", "min_ns", "max_ns", "keep")
    rows = [row for row in run(topic.records)["histogram"] if row["measure"] == "rtt"]
    return [tuple(row[name] for name in names) for row in rows]


def test_an_account_is_one_value_of_the_end_that_tells_it() -> None:
    assert figures() == [
        ("app@alpha > app@beta:80", "alpha", "one_host", 2, 2, 100_000, 40_000, 60_000, None),
        ("app@beta:80 > app@alpha", "beta", "one_host", 1, 1, 900_000, 900_000, 900_000, None),
    ]


def test_accounts_are_kept_by_connections_alone() -> None:
    found = figures(connection_rate=RATE, block_rate=RATE)
    assert [row[-1] for row in found] == [0.25, 0.25]
