# SPDX-License-Identifier: Apache-2.0
"""Sends until it is killed, and says before each round what it is about to send, after some what is safe.

A line is three numbers, the shards' next sequences, behind `sends` or `safe`. Safe is what was acknowledged
or is on the disk: no kill may lose it.
"""

import itertools
import sys
import time
from pathlib import Path

from support.sender import SHARDS, Sender
from support.spool import RUN

IN_A_ROUND = 4
ROUNDS_A_LOOK = 5
PAUSE_SECONDS = 0.005


def main() -> None:
    """Run until SIGKILL."""
    bootstrap, topic, folder, epoch = sys.argv[1:]
    sender = Sender(bootstrap, topic, Path(folder), RUN._replace(epoch=int(epoch)))
    for number in itertools.count():
        _say("sends", [following + IN_A_ROUND for following in sender.next])
        sender.send(IN_A_ROUND)
        sender.delivery.poll()
        if number % ROUNDS_A_LOOK == 0 and sender.delivery.spool.flush(5):
            _say("safe", _safe(sender))
        time.sleep(PAUSE_SECONDS)


def _safe(sender: Sender) -> list[int]:
    """Return the sequence of each shard from which on something is in this process's memory only."""
    found = list(sender.next)
    for ticket in sender.delivery.outstanding.tickets():
        if ticket.own and ticket.place is None:
            found[ticket.shard] = min(found[ticket.shard], ticket.sequence)
    return found


def _say(what: str, numbers: list[int]) -> None:
    assert len(numbers) == SHARDS
    sys.stdout.write(f"{what} {' '.join(map(str, numbers))}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
