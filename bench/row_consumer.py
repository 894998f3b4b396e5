# SPDX-License-Identifier: Apache-2.0
"""The consumer as one would write it first: one Python object an event, matches found in dicts.

It does what the real one does: drops duplicates, matches each send with the read that took its last byte and
with its arrival, counts deliveries in histograms, commits to such a lake.
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, TopicPartition

from lake.facts import Facts, PartitionCommit
from schemas import batch as codec
from schemas.batch import EventBatch, Flow, Process
from schemas.event import TcpReceive, TcpSend
from schemas.tables import HISTOGRAM, MATCH

FlowKey = tuple[int, int]
WINDOW_NS = 60 * 10**9
HOUR_NS = 3600 * 10**9


@dataclass
class Row:
    """One event with what its batch says of it."""

    event: TcpSend | TcpReceive
    flow: Flow
    process: Process
    batch: EventBatch

    @property
    def end(self) -> int:
        """Stream position after the last byte."""
        return self.event.position + self.event.length


@dataclass
class Open:
    """What waits, by flow."""

    sends: dict[FlowKey, list[Row]] = field(default_factory=lambda: defaultdict(list))
    receives: dict[FlowKey, list[Row]] = field(default_factory=lambda: defaultdict(list))
    arrivals: dict[FlowKey, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    seen: set[tuple[str, str, int, int, int]] = field(default_factory=set)
    events: int = 0


def take(waiting: Open, value: bytes) -> None:
    """Add the events of one record."""
    batch = codec.decode(value)
    name = (batch.host, batch.boot, batch.epoch, batch.shard, batch.sequence)
    if name in waiting.seen:
        return
    waiting.seen.add(name)
    for event in codec.rows(batch):
        flow = batch.flows[event.flow]
        waiting.events += 1
        if isinstance(event, TcpSend):
            row = Row(event, flow, batch.processes[event.process], batch)
            waiting.sends[flow.connection, flow.end].append(row)
        elif isinstance(event, TcpReceive):
            row = Row(event, flow, batch.processes[event.process], batch)
            waiting.receives[flow.connection, 1 - flow.end].append(row)
        else:
            waiting.arrivals[flow.connection, 1 - flow.end].append((event.position, event.time_ns))


def matches(waiting: Open, partition: int) -> list[dict[str, object]]:
    """Return a row for each send whose last byte was read."""
    found = []
    for key, sends in waiting.sends.items():
        receives = sorted(waiting.receives[key], key=lambda row: row.end)
        ends = [row.end for row in receives]
        arrivals = sorted(waiting.arrivals[key])
        for send in sends:
            at = bisect_left(ends, send.end)
            if at < len(receives) and receives[at].event.position < send.end:
                after = bisect_left(arrivals, (send.end, 0))
                arrived = arrivals[after][1] if after < len(arrivals) else None
                found.append(_match(partition, key, send, receives[at], arrived))
    return found


def histograms(rows: list[dict[str, object]], partition: int) -> list[dict[str, object]]:
    """Return one row for each (window, edge) of the deliveries."""
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row in rows:
        window = int(row["sent_at_ns"]) // WINDOW_NS * WINDOW_NS  # type: ignore[call-overload]
        groups[window, str(row["edge"])].append(int(row["delivery_ns"]))  # type: ignore[call-overload]
    found = []
    for (window, edge), values in groups.items():
        buckets = Counter(math.ceil(math.log2(value) * 32) - 1 for value in values if value > 0)
        figures = {"n": len(values), "seen": len(values), "negative": sum(value < 0 for value in values)}
        sums = {"sum_ns": sum(values), "min_ns": min(values), "max_ns": max(values), "scale": 5}
        place = {"topic_partition": partition, "tick": 0, "window_start_ns": window, "window_ns": WINDOW_NS}
        names = {"edge": edge, "measure": "delivery", "clock": "same_host", "hour_index": window // HOUR_NS}
        order = sorted(buckets)
        shape = {"buckets": order, "counts": [buckets[bucket] for bucket in order]}
        found.append({**place, **names, **figures, **sums, **shape})
    return found


def consume(bootstrap: str, topic: str, ends: dict[int, int], lake: Facts) -> tuple[int, int]:
    """Read each partition to its end and commit its matches; return (events, matches)."""
    options = {"bootstrap.servers": bootstrap, "group.id": "rows", "enable.auto.commit": False}
    consumer = Consumer(options)
    events = matched = 0
    for partition, end in ends.items():
        consumer.assign([TopicPartition(topic, partition, 0)])
        waiting = Open()
        position = 0
        while position < end:
            message = consumer.poll(10)
            error = message.error() if message else KafkaError(KafkaError._TIMED_OUT)  # noqa: SLF001
            assert message is not None, error
            assert error is None, error
            take(waiting, message.value() or b"")
            position = (message.offset() or 0) + 1
        rows = matches(waiting, partition)
        _commit(lake, topic, partition, end, rows)
        events, matched = events + waiting.events, matched + len(rows)
    consumer.close()
    return events, matched


def _match(partition: int, key: FlowKey, send: Row, receive: Row, arrived: int | None) -> dict[str, object]:
    sent, read = send.event, receive.event
    sent_at = sent.time_ns + send.batch.realtime_offset_ns
    read_at = read.time_ns + receive.batch.realtime_offset_ns
    return {
        "topic_partition": partition,
        "tick": 0,
        "connection": key[0] - 2**64 if key[0] >= 2**63 else key[0],
        "direction": key[1],
        "edge": f"{send.process.name}@{send.batch.host} > {receive.process.name}@{receive.batch.host}",
        "sender_host": send.batch.host,
        "sender_process": send.process.name,
        "sender_pid": send.process.pid,
        "sender_address": send.flow.local_address.hex(),
        "sender_port": send.flow.local_port,
        "receiver_host": receive.batch.host,
        "receiver_process": receive.process.name,
        "receiver_pid": receive.process.pid,
        "receiver_address": receive.flow.local_address.hex(),
        "receiver_port": receive.flow.local_port,
        "begin": sent.position,
        "end": send.end,
        "sent_at_ns": sent_at,
        "send_block_ns": sent.duration_ns if isinstance(sent, TcpSend) else 0,
        "delivery_ns": read_at - sent_at,
        "wire_ns": None if arrived is None else arrived - sent.time_ns,
        "receive_wait_ns": None if arrived is None else read.time_ns - arrived,
        "clock": "same_host" if send.batch.boot == receive.batch.boot else "unsynced",
        "last_piece": bool(sent.flags & 1),
        "flags": sent.flags,
        "hour_index": sent_at // HOUR_NS,
    }


def _commit(lake: Facts, topic: str, partition: int, end: int, rows: list[dict[str, object]]) -> None:
    hour = pa.field("hour_index", pa.int64())
    tables = {
        "match": pa.Table.from_pylist(rows, schema=MATCH.append(hour)),
        "histogram": pa.Table.from_pylist(histograms(rows, partition), schema=HISTOGRAM.append(hour)),
    }
    lake.resume("rows", partition)
    lake.commit([PartitionCommit(topic, "rows", partition, 0, end, b"", flushed=False, rows=tables)])
