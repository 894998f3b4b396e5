# SPDX-License-Identifier: Apache-2.0
"""What a record of any of our topics says, as JSON objects for people. Pure; takes any bytes.

What a record is follows from its bytes, not from its topic's name, so renamed topics need no settings.
"""

from collections.abc import Iterator
from enum import IntFlag
from typing import Any

import msgspec

from history.span import iso
from schemas import control, order
from schemas.batch import SECTIONS, Mark
from schemas.errors import RecordError
from schemas.event import Audit, Flag, Kind
from wirelag.rows import rows
from wirelag.unpack import NUMBERS, unpack

Line = dict[str, Any]
_SHOWN_BYTES = 64
_POISON = {"reason", "kafka_offset"}
EVENTS = {kind.name.lower() for kind in Kind}
"""Kinds of lines that are events."""
_TOLD = ("opener_pid", "opener", *(name for name in NUMBERS if name not in {"audit", "flags"}))
_AUDITS = {int(audit): audit.name.lower() for audit in Audit}
_LAST_SECOND = 253_402_300_799
"""Of the year 9999, the last one that ISO 8601 texts can name here."""


def lines(value: bytes | None, headers: dict[str, str], *, heads: bool = False) -> Iterator[Line]:
    """Yield the objects that a record stands for; ``heads`` stops at the head of an event batch."""
    if value is None:
        yield {"kind": "deleted"}
    elif headers.keys() >= _POISON:
        yield {"kind": "poison", **headers, **_preview(value)}
    elif value[:1] in {b"{", b"["}:
        yield _json(value)
    else:
        yield from _events(value, heads=heads)


def _json(value: bytes) -> Line:
    try:
        found = msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _unknown(value, "not-json", str(error))
    if not isinstance(found, dict):
        return _unknown(value, "not-json", "no object")
    kind = found.get("type")
    if kind not in ("heartbeat", "order"):  # no set: what is asked for may be a list
        return {"kind": "latency" if "record_id" in found else "json", **found}
    try:
        decoded = control.decode(value) if kind == "heartbeat" else order.decode(value)
    except RecordError as error:
        return _unknown(value, error.reason, str(error))
    return {"kind": kind, **msgspec.to_builtins(decoded, str_keys=True)}


def _events(value: bytes, *, heads: bool) -> Iterator[Line]:
    try:
        if heads:
            yield _head(value)
        else:
            yield from (_event(row) for row in sorted(rows(value), key=lambda row: row["monotonic_ns"]))
    except RecordError as error:
        yield _unknown(value, error.reason, str(error))


def _event(row: dict[str, Any]) -> Line:
    line = {
        "kind": row["kind"],
        "time": _time(row["time_ns"]),
        "host": row["host"],
        "process": row["process"],
        "pid": row["pid"],
        "label": row["label"],
        "connection": f"{row['connection']:016x}",
        **({"direction": row["direction"]} if "direction" in row else {}),
        "local": _endpoint(row["local_address"], row["local_port"]),
        "remote": _endpoint(row["remote_address"], row["remote_port"]),
    }
    line |= {name: row[name] for name in _TOLD if name in row}
    if "audit" in row:
        line["audit"] = _AUDITS.get(row["audit"], str(row["audit"]))
    if row["marks"]:
        line["marks"] = _names(Mark, row["marks"])
    return line | {
        "flags": _names(Flag, row["flags"]),
        "time_ns": row["time_ns"],
        "monotonic_ns": row["monotonic_ns"],
    }


def _head(value: bytes) -> Line:
    batch, kinds = unpack(value)
    names = ("host", "boot", "epoch", "shards", "shard", "sequence", "cumulative", "events")
    counts = {SECTIONS[events.kind]: int(events.flow.size) for events in kinds}
    times = {name: getattr(batch, name) for name in ("packed_ns", "age_ns", "realtime_offset_ns")}
    return {
        "kind": "batch",
        "version": batch.version,
        "bytes": len(value),
        **{name: getattr(batch, name) for name in names},
        **counts,
        "connection_rate": batch.connection_rate,
        "block_rate": batch.block_rate,
        "flows": len(batch.flows),
        "processes": len(batch.processes),
        **times,
    }


def _unknown(value: bytes, reason: str, message: str) -> Line:
    return {"kind": "unknown", "reason": reason, "message": message, **_preview(value)}


def _preview(value: bytes) -> Line:
    return {"value_bytes": len(value), "value_begins": value[:_SHOWN_BYTES].hex(" ")}


def _names(kind: type[IntFlag], flags: int) -> list[str]:
    known = [flag.name or "" for flag in kind if flags & flag]
    rest = flags & ~sum(kind)
    return [*known, hex(rest)] if rest else known


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _time(time_ns: int) -> str | None:
    return iso(time_ns) if 0 <= time_ns <= _LAST_SECOND * 10**9 else None
