# SPDX-License-Identifier: Apache-2.0
"""Networks that use the same addresses and ports at once are kept apart: by namespace, and in every match.

Each pair of namespaces moves messages of lengths of its own, so a byte in a wrong place would show.
"""

from collections import Counter

import pytest

from support.matching import answer
from support.netns import hosts_of
from support.pinned import CLIENT_PORT, SERVER_PORT, side_by_side
from support.sums import by_end, ends
from support.worker import Worker

LIVES, MESSAGES = 5, 30


@pytest.fixture
def seen(tracer, twins):
    """Return the lengths sent in each network, by the program, and the trace."""
    with Worker() as worker:
        lengths = worker.run(side_by_side, twins, LIVES, MESSAGES)
    return lengths, tracer.take()


def test_networks_of_the_same_addresses_are_kept_apart(twins, seen):
    lengths, trace = seen
    _assert_only_namespaces_differ(twins, ends(trace))
    _assert_own_calls_and_bytes(twins, lengths, by_end(trace))
    _assert_own_matches(twins, lengths, trace)


def _assert_only_namespaces_differ(networks, facts):
    ports = Counter(zip(facts["local_port"].tolist(), facts["remote_port"].tolist(), strict=True))
    connections = len(networks) * LIVES
    assert ports == {(CLIENT_PORT, SERVER_PORT): connections, (SERVER_PORT, CLIENT_PORT): connections}
    assert len({row["local_address"].tobytes() for row in facts}) == 2
    namespaces = Counter(facts["netns"].tolist())
    assert namespaces == {inode: LIVES for network in networks for inode in hosts_of(network)}


def _assert_own_calls_and_bytes(networks, lengths, sums):
    for network, sent in zip(networks, lengths, strict=True):
        for host in network.hosts:
            found = [(end.sends, end.sent, end.read) for end in sums if end.netns == host.inode]
            assert found == [(MESSAGES, sum(sent), sum(sent))] * LIVES, (host.name, found, sum(sent))


def _assert_own_matches(networks, lengths, trace):
    network_of = {host.name: number for number, pair in enumerate(networks) for host in pair.hosts}
    found = answer(trace, tuple(host for network in networks for host in network.hosts))
    sides = [(network_of[row["sender_host"]], network_of[row["receiver_host"]]) for row in found.matches]
    assert found.unmatched == []
    assert all(sender == receiver for sender, receiver in sides), Counter(sides)
    matched = Counter(
        (sender, row["end"] - row["begin"]) for (sender, _), row in zip(sides, found.matches, strict=True)
    )
    assert matched == {
        (number, length): 2 * LIVES for number, sent in enumerate(lengths) for length in sent
    }, f"{len(found.matches)} matches"
