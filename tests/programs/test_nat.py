# SPDX-License-Identifier: Apache-2.0
"""Addresses and ports that are translated on the way change nothing: both ends name a connection alike.

The programs' own getsockname and getpeername say that there was a translation.
"""

from collections import Counter

import pytest

from schemas.key import FIXED_KEY, connection_name
from support.matching import answer
from support.nat import exchange
from support.sums import ends
from support.worker import Worker

CONNECTIONS, MESSAGES = 5, 40
SERVICE, PUBLIC = 9090, 8080
UNTRANSLATED = "no translation"
SERVER, GATEWAY, VIRTUAL = "10.98.2.2", "10.98.1.1", "10.98.200.1"
MASQUERADE = "postrouting ip saddr 10.98.1.0/24 masquerade random"
FORWARD = f"prerouting tcp dport {PUBLIC} dnat to {SERVER}:{SERVICE}"
WAYS = {
    UNTRANSLATED: (("router",), (SERVER, SERVICE)),
    "masquerade on the router": (("router", MASQUERADE), (SERVER, SERVICE)),
    "port of the router led to the server": (("router", FORWARD), (GATEWAY, PUBLIC)),
    "both ends translated": (("router", MASQUERADE, FORWARD), (GATEWAY, PUBLIC)),
    "port redirected on the server itself": (
        ("server", f"prerouting tcp dport {PUBLIC} redirect to :{SERVICE}"),
        (SERVER, PUBLIC),
    ),
    "address that exists nowhere, translated on the client itself": (
        ("client", f"output ip daddr {VIRTUAL} tcp dport {PUBLIC} dnat to {SERVER}:{SERVICE}"),
        (VIRTUAL, PUBLIC),
    ),
}
"""Where which rules are, and what the client connects to."""


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


@pytest.fixture(params=WAYS)
def seen(request, routed, tracer, worker):
    """Return the way, what both programs saw of their connections, and what the capture at both ends saw."""
    rules, target = WAYS[request.param]
    routed.translate(*rules)
    said = worker.run(exchange, routed, (SERVER, SERVICE), target, CONNECTIONS, MESSAGES)
    return request.param, said, tracer.take()


def test_both_ends_name_a_connection_alike_and_all_is_matched(routed, seen):
    way, said, trace = seen
    alike = [(one.client_local, one.client_remote) == (one.server_remote, one.server_local) for one in said]
    assert alike == [way == UNTRANSLATED] * CONNECTIONS, said

    names = Counter(
        connection_name(FIXED_KEY, int(row["iss"]), int(row["irs"]), passive=row["role"] == 2).connection
        for row in ends(trace)
    )
    assert sorted(names.values()) == [2] * CONNECTIONS, f"{len(names)} names of {CONNECTIONS} connections"

    found = answer(trace, (routed.client, routed.server))
    sent = sum(one.messages for one in said)
    assert (len(found.matches), found.unmatched) == (sent, []), f"{len(found.matches)} of {sent} matched"
    assert all(row["delivery_ns"] >= 0 for row in found.matches)
    assert _told(found, routed.client) == {(one.client_local, one.client_remote) for one in said}
    assert _told(found, routed.server) == {(one.server_local, one.server_remote) for one in said}


def _told(found, host):
    """Return the addresses and ports, own and peer's, of the ends of connections on a host."""
    return {
        ((row["local_address"], row["local_port"]), (row["remote_address"], row["remote_port"]))
        for row in found.connections
        if row["host"] == host.name
    }
