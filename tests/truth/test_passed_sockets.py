# SPDX-License-Identifier: Apache-2.0
"""A socket that one process opens and another uses: each event is of the thread that made the call."""

import os
import socket
from typing import NamedTuple

import pytest

from support.netns import Network
from support.trace import Trace, Tracer
from support.traffic import joined
from support.worker import Worker


class Passed(NamedTuple):
    """Who did what on one connection; the client's end is given to a child."""

    client_port: int
    server_port: int
    child: int


def by_message(network: Network) -> Passed:
    """Open, send once, hand the socket to a child that runs already (SCM_RIGHTS), which sends and reads."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if not child:
        _use(theirs)
    with joined(network) as (client, server):
        client.send(b"parent")
        socket.send_fds(ours, [b"."], [client.sock.fileno()])
        return _finished(client.port, server, child)


def by_fork(network: Network) -> Passed:
    """Open, send once, fork: the child uses what it inherited."""
    with joined(network) as (client, server):
        client.send(b"parent")
        child = os.fork()
        if not child:
            _speak(client.sock)
        return _finished(client.port, server, child)


def _finished(port, server, child) -> Passed:
    server.receive_all(len(b"parentchild"))
    server.send(b"answer")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return Passed(port, server.port, child)


def _use(channel: socket.socket) -> None:
    _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    _speak(socket.socket(fileno=descriptors[0]))


def _speak(sock: socket.socket) -> None:
    sock.sendall(b"child")
    os._exit(0 if sock.recv(100) == b"answer" else 1)


def makers(trace: Trace, port: int, kind: str) -> list[tuple[int, int, int]]:
    """Return (process, position, length) of the events of one kind at one end."""
    found = trace.of(port, kind)
    return [(int(one["tgid"]), int(one["position"]), int(one["length"])) for one in found]


@pytest.mark.parametrize("passing", [by_message, by_fork])
def test_an_event_is_of_the_process_that_made_the_call(
    network: Network, tracer: Tracer, worker: Worker, passing
) -> None:
    """Not of the one that opened the socket, whom the connection names."""
    told = worker.run(passing, network)
    trace = tracer.take()
    assert makers(trace, told.client_port, "send") == [(worker.pid, 0, 6), (told.child, 6, 5)]
    assert makers(trace, told.client_port, "receive") == [(told.child, 0, 6)]
    assert {pid for pid, _, _ in makers(trace, told.server_port, "send")} == {worker.pid}
    assert trace.connection(told.client_port)["opener_tgid"] == worker.pid
    assert told.child in trace.tasks["tgid"]
