# SPDX-License-Identifier: Apache-2.0
"""Kernel events and facts made by hand, as the decoder would hand them over, with no kernel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.decode import CONNECTION_DTYPE, EVENT_DTYPE, TASK_DTYPE
from agent.directory import Directory, Resolved
from schemas.event import Flag, Kind

WHOLE = int(Flag.FIRST_PIECE | Flag.LAST_PIECE)


def events(*rows: dict[str, int]) -> NDArray[Any]:
    """Return an event array; what a row leaves out is 0."""
    table = np.zeros(len(rows), dtype=EVENT_DTYPE)
    for index, row in enumerate(rows):
        for name, value in row.items():
            table[index][name] = value
    return table


def send(time_ns: int, position: int, length: int, **more: int) -> dict[str, int]:
    """Return one whole send call of process 7 on the connection (1, 2)."""
    base = {"kind": Kind.SEND, "iss": 1, "irs": 2, "tgid": 7, "tid": 7, "flags": WHOLE, "duration_ns": 10}
    return {**base, "time_ns": time_ns, "position": position, "length": length, **more}


def receive(time_ns: int, position: int, length: int, **more: int) -> dict[str, int]:
    """Return one read by process 8 at the other end."""
    base = {"kind": Kind.RECEIVE, "iss": 2, "irs": 1, "tgid": 8, "tid": 8}
    return {**base, "time_ns": time_ns, "position": position, "length": length, **more}


def arrival(time_ns: int, position: int, **more: int) -> dict[str, int]:
    """Return one arrival at the other end."""
    return {"kind": Kind.ARRIVAL, "iss": 2, "irs": 1, "time_ns": time_ns, "position": position, **more}


def connection(iss: int, irs: int, role: int = 1, **more: int) -> NDArray[Any]:
    """Return the facts of one end of an IPv4 connection between 10.0.0.1:40000 and 10.0.0.2:80."""
    facts = np.zeros(1, dtype=CONNECTION_DTYPE)
    active, passive = (
        (bytes(10) + b"\xff\xff\x0a\x00\x00\x01", 40_000),
        (bytes(10) + b"\xff\xff\x0a\x00\x00\x02", 80),
    )
    local, remote = (active, passive) if role == 1 else (passive, active)
    facts["iss"], facts["irs"], facts["role"], facts["netns"] = iss, irs, role, 99
    facts["local_address"], facts["local_port"] = np.frombuffer(local[0], dtype=np.uint8), local[1]
    facts["remote_address"], facts["remote_port"] = np.frombuffer(remote[0], dtype=np.uint8), remote[1]
    for name, value in more.items():
        facts[name] = value
    return facts


def task(tgid: int, name: str, cgroup: int = 0) -> NDArray[Any]:
    """Return the facts of one single-threaded process."""
    facts = np.zeros(1, dtype=TASK_DTYPE)
    facts["cgroup"] = cgroup
    facts["tgid"], facts["tid"], facts["comm"], facts["leader_comm"] = (
        tgid,
        tgid,
        name.encode(),
        name.encode(),
    )
    return facts


def look_up(directory: Directory, table: NDArray[Any], now_ns: int) -> Resolved:
    """Resolve all of (n,) events, in the order given."""
    return directory.resolve(table, np.arange(table.size), now_ns)
