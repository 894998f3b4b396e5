# SPDX-License-Identifier: Apache-2.0
"""Traffic at an even pace over many connections: a share of them is a share of the events."""

import time
from contextlib import ExitStack

from support.netns import Network
from support.traffic import joined

EVENTS_OF_AN_ECHO = 6
"""At both ends: two sends, two arrivals, two reads."""
IN_A_BURST = 10


def paced(network: Network, seconds: float, events_per_second: float, connections: int) -> None:
    """Echo small messages over the connections in turn, some at a time."""
    pause = IN_A_BURST * EVENTS_OF_AN_ECHO / events_per_second
    with ExitStack() as stack:
        ends = [stack.enter_context(joined(network)) for _ in range(connections)]
        begun = time.monotonic()
        for number in range(int(seconds / pause)):
            for nth in range(IN_A_BURST):
                one, other = ends[(number * IN_A_BURST + nth) % connections]
                for source, sink in ((one.sock, other.sock), (other.sock, one.sock)):
                    source.sendall(bytes(200))
                    assert len(sink.recv(200)) == 200
            time.sleep(max(0.0, begun + number * pause - time.monotonic()))
