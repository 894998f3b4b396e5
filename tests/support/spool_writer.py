# SPDX-License-Identifier: Apache-2.0
"""Writes to a spool until it is killed, and says after each transaction how many records are on the disk."""

import itertools
import sys
from pathlib import Path

from support.spool import RUN, record, store

TOGETHER = 8


def main() -> None:
    """Run until SIGKILL."""
    shard = int(sys.argv[2])
    opened = store(Path(sys.argv[1]), RUN._replace(epoch=shard + 1, shards=3))
    for first in itertools.count(0, TOGETHER):
        opened.write([record(shard, first + n, 5000) for n in range(TOGETHER)])
        sys.stdout.write(f"{first + TOGETHER}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
