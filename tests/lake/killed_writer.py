# SPDX-License-Identifier: Apache-2.0
"""A writer that kills itself: `python -m tests.lake.killed_writer FOLDER STEP END POINT PASSAGE [SIGNAL]`.

It takes all partitions over and commits up to END; SIGKILL, or what SIGNAL names, comes when POINT is
passed the PASSAGE-th time.
Overtaken by another writer it starts over.
"""

import os
import signal
import sys

from lake.errors import CommitUnknownError, StalePositionError
from lake.facts import Facts
from tests.lake.synthetic import advance

PARTITIONS = range(3)


def main(folder: str, step: str, end: str, point: str, passage: str, number: str = "SIGKILL") -> None:
    """Run until the end or the kill."""
    left = int(passage)

    def trace(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.Signals[number])

    facts = Facts.open(folder, trace=trace)
    while True:
        try:
            advance(facts, PARTITIONS, int(step), int(end))
            os._exit(0)
        except (StalePositionError, CommitUnknownError):
            continue  # another one writes the same partitions: take them over again


if __name__ == "__main__":
    main(*sys.argv[1:])
