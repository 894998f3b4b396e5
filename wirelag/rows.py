# SPDX-License-Identifier: Apache-2.0
"""A record as a list of dicts, for small programs. A field that a kind does not have is left out."""

from typing import Any

from schemas.batch import EventBatch, Flow, Process
from wirelag.unpack import Events, address, unpack


def rows(value: bytes) -> list[dict[str, Any]]:
    """Return the events of a record value, kind by kind, sends first; raises RecordError."""
    batch, kinds = unpack(value)
    flows = [_flow(flow, batch.opener(flow)) for flow in batch.flows]
    processes = [_process(process) for process in batch.processes]
    return [row for events in kinds for row in _rows(batch, events, flows, processes)]


def _flow(flow: Flow, opener: Process | None) -> dict[str, Any]:
    return {
        "connection": flow.connection,
        "end": flow.end,
        "role": flow.role,
        "local_address": address(flow.local_address),
        "local_port": flow.local_port,
        "remote_address": address(flow.remote_address),
        "remote_port": flow.remote_port,
        "netns": flow.netns,
        "marks": flow.marks,
        **({"opener_pid": opener.pid, "opener": opener.name} if opener else {}),
    }


def _process(process: Process) -> dict[str, Any]:
    return {"pid": process.pid, "process": process.name, "cgroup": process.cgroup, "label": process.label}


def _rows(
    batch: EventBatch, events: Events, flows: list[dict[str, Any]], processes: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    head = {"kind": events.kind.name.lower(), "host": batch.host, "boot": batch.boot}
    numbers = {
        "time_ns": events.time_ns,
        "monotonic_ns": events.monotonic_ns,
        **({} if events.direction is None else {"direction": events.direction}),
        **events.numbers,
    }
    names = list(numbers)
    columns = (events.flow, events.process, *numbers.values())
    return [
        {**head, **flows[flow], **processes[process], **dict(zip(names, rest, strict=True))}
        for flow, process, *rest in zip(*(column.tolist() for column in columns), strict=True)
    ]
