# SPDX-License-Identifier: Apache-2.0
"""Loads for a host: run in another process, so importable by name."""

import random
import time
from contextlib import ExitStack

from support.netns import Network
from support.traffic import joined

EVENTS_OF_AN_EXCHANGE = 3
"""At one end: a send, an arrival, a read."""
CONNECTIONS = 8


def paced(network: Network, seconds: float, events_per_second: float) -> None:
    """Exchange small messages over a few connections, so that one end has events at an even pace."""
    pause = EVENTS_OF_AN_EXCHANGE / events_per_second
    with ExitStack() as stack:
        ends = [stack.enter_context(joined(network)) for _ in range(CONNECTIONS)]
        begun = time.monotonic()
        for number in range(int(seconds / pause)):
            client, server = ends[number % CONNECTIONS]
            client.send(bytes(200))
            server.receive_all(200)
            server.send(bytes(900))
            client.receive_all(900)
            time.sleep(max(0.0, begun + number * pause - time.monotonic()))


def mixed(network: Network, connections: int, exchanges: int) -> None:
    """Ask (1 B to 64 KiB) and answer (up to 1 KiB) over connections in turn, as fast as it goes."""
    dice = random.Random(11)  # noqa: S311 - sizes, not secrets
    with ExitStack() as stack:
        ends = [stack.enter_context(joined(network)) for _ in range(connections)]
        for number in range(exchanges):
            client, server = ends[number % connections]
            question, answer = int(65_536 ** dice.random()), dice.randrange(1, 1024)
            client.send(bytes(question))
            server.receive_all(question)
            server.send(bytes(answer))
            client.receive_all(answer)


def quiet(_network: Network, seconds: float) -> None:
    """Do nothing for as long."""
    time.sleep(seconds)
