# SPDX-License-Identifier: Apache-2.0
"""The end of a capture: what it held leaves, named or counted as lost, though nothing can be asked more."""

import numpy as np

from agent.decode import KIND_CONNECTION, RECORD_DTYPE, RECORD_VERSION, STREAM_FACTS
from agent.directory import Directory
from agent.kernel.counters import HEAD_DTYPE, HOOK_NAMES, add_up
from agent.ledger import Ledger
from agent.loop import Loop, Parts
from agent.pack import Clock, Identity, Packer
from schemas import batch
from support.events import connection, events, send

NOTHING = add_up(np.zeros((len(HOOK_NAMES), 1), HEAD_DTYPE), {})
SECRET = b"0123456789abcdef"


class Ended:
    """A capture that has been stopped."""

    running = False

    def reannounce(self, socks):
        raise RuntimeError("the capture is not running")


class Sink:
    """Keeps what it is given."""

    def __init__(self):
        self.batches = []

    def send(self, value, ticket):
        self.batches.append(batch.decode(value))


def record(slots, stream=0, kind=None):
    if kind is not None:
        slots["kind"] = kind
    head = np.zeros(1, RECORD_DTYPE)
    head[0] = (0, len(slots), 0, stream, RECORD_VERSION)
    return head.tobytes() + slots.tobytes()


def loop_of(sink):
    directory, ledger = Directory(SECRET, lambda _pid: None), Ledger()
    packer = Packer(Identity("alpha", "boot", 1, 1), directory, 4096, 10**9)
    return Loop(Parts(Ended(), directory, packer, sink, ledger), lambda: Clock(10**9, 0), 10**8), ledger


def test_events_whose_connection_was_never_told_are_counted_at_the_end():
    sink = Sink()
    loop, ledger = loop_of(sink)
    loop.finish([record(events(send(5, 0, 10), send(6, 10, 10)))], NOTHING)
    assert ledger.total("agent", "no-connection-facts") == 2
    assert sink.batches == []


def test_a_run_goes_on_after_the_end_of_a_capture():
    """Sequences continue."""
    sink = Sink()
    loop, _ = loop_of(sink)
    for _ in range(3):
        facts = record(connection(1, 2), STREAM_FACTS, KIND_CONNECTION)
        loop.finish([facts, record(events(send(5, 0, 10)))], NOTHING)
    assert [(one.sequence, one.cumulative, one.events) for one in sink.batches] == [
        (0, 0, 1),
        (1, 1, 1),
        (2, 2, 1),
    ]
