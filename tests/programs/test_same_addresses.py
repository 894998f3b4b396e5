# SPDX-License-Identifier: Apache-2.0
"""Networks that use the same addresses and ports at once are kept apart: by namespace, and in every match.

Each pair of namespaces moves messages of lengths of its own, so a byte in a wrong place would show.
"""

from collections import Counter
from contextlib import ExitStack

import pytest

from agent.kernel.capture import Capture, CaptureSettings
from support.matching import answer
from support.netns import VethPair, hosts_of
from support.pinned import CLIENT_PORT, SERVER_PORT, side_by_side
from support.sums import by_end, ends
from support.trace import Tracer
from support.worker import Worker

NETWORKS, LIVES, MESSAGES = 4, 5, 30


@pytest.fixture(scope="module")
def networks():
    with ExitStack() as stack:
        yield [stack.enter_context(VethPair(f"n{number}")) for number in range(NETWORKS)]


@pytest.fixture(scope="module")
def seen(networks):
    """Return the lengths sent in each network, by the program, and the trace."""
    inodes = tuple(inode for network in networks for inode in hosts_of(network))
    capture = Capture(CaptureSettings(netns=inodes, lives=True))
    capture.start()
    with Worker() as worker:
        lengths = worker.run(side_by_side, networks, LIVES, MESSAGES)
    trace = Tracer(capture).take()
    capture.stop()
    return lengths, trace


def test_ends_differ_by_namespace_alone(networks, seen):
    _, trace = seen
    facts = ends(trace)
    ports = Counter(zip(facts["local_port"].tolist(), facts["remote_port"].tolist(), strict=True))
    connections = NETWORKS * LIVES
    assert ports == {(CLIENT_PORT, SERVER_PORT): connections, (SERVER_PORT, CLIENT_PORT): connections}
    assert len({row["local_address"].tobytes() for row in facts}) == 2
    namespaces = Counter(facts["netns"].tolist())
    assert namespaces == {inode: LIVES for network in networks for inode in hosts_of(network)}


def test_each_end_has_its_own_calls_and_bytes(networks, seen):
    lengths, trace = seen
    ends = by_end(trace)
    for network, sent in zip(networks, lengths, strict=True):
        for host in network.hosts:
            mine = [end for end in ends if end.netns == host.inode]
            found = [(end.sends, end.sent, end.read) for end in mine]
            assert found == [(MESSAGES, sum(sent), sum(sent))] * LIVES, (host.name, found, sum(sent))


def test_no_message_is_matched_across_networks(networks, seen):
    lengths, trace = seen
    network_of = {host.name: number for number, pair in enumerate(networks) for host in pair.hosts}
    found = answer(trace, tuple(host for network in networks for host in network.hosts))
    crossed = [
        row for row in found.matches if network_of[row["sender_host"]] != network_of[row["receiver_host"]]
    ]
    assert (crossed, found.unmatched) == ([], [])
    matched = Counter((network_of[row["sender_host"]], row["end"] - row["begin"]) for row in found.matches)
    assert matched == {
        (number, length): 2 * LIVES for number, sent in enumerate(lengths) for length in sent
    }, f"{len(found.matches)} matches"
