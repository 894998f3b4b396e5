# SPDX-License-Identifier: Apache-2.0
"""A writer that kills itself: `python -m tests.lake.killed_writer FOLDER STEP END POINT PASSAGE`.

It takes all partitions over and commits up to END; SIGKILL comes when POINT is passed the PASSAGE-th time.
"""

import os
import signal
import sys

from lake.facts import Facts
from tests.lake.synthetic import advance

PARTITIONS = range(3)


def main(folder: str, step: str, end: str, point: str, passage: str) -> None:
    """Run until the end or the kill."""
    left = int(passage)

    def trace(name: str) -> None:
        nonlocal left
        left -= name == point
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    advance(Facts.open(folder, trace=trace), PARTITIONS, int(step), int(end))
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
