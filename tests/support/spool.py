# SPDX-License-Identifier: Apache-2.0
"""Spools for tests: small files and quotas, so that rotation and "full" happen often."""

from pathlib import Path
from typing import Any

from agent.spool.limits import Limits
from agent.spool.record import Given, Record, Run
from agent.spool.store import Store

RUN = Run("host-a", "boot-a", 1, 3)
LATER = RUN._replace(epoch=2)
OFFSET_NS = 10**18
ROOMY = Limits(2**30, 1.0, 2**18, "drop-oldest")


def store(folder: Path, run: Run = RUN, **limits: Any) -> Store:
    """Return an open store."""
    opened = Store(folder, ROOMY._replace(**limits), run, OFFSET_NS)
    opened.open()
    return opened


def record(shard: int, sequence: int, size: int = 1000) -> Record:
    """Return a record whose value tells which one it is."""
    name = f"{shard}/{sequence}/".encode()
    return Record(shard, sequence, 1 + sequence % 7, 10**9 + sequence, name + bytes(max(0, size - len(name))))


def take_all(opened: Store) -> list[Given]:
    """Take out everything that can be read, and say that it arrived."""
    found: list[Given] = []
    while given := opened.give(2**20, 2**20, {}):
        for one in given:
            opened.done(one.place)
        found += given
    return found
