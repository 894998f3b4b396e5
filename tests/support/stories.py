# SPDX-License-Identifier: Apache-2.0
"""Topics of a real broker in which the time is told by the test: hours pass in a second, and alike each time.

Two hosts talk; what each one's agent delivers, when, and what its heartbeats say of it, is the story.
"""

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Producer

from schemas import batch as batch_codec
from schemas import control as control_codec
from schemas.batch import EventBatch
from schemas.tables import LATE
from schemas.turns import MEASURES
from support.batches import KERNEL, Fleet
from support.consumer import World, read_kind
from support.kafka import QUICK
from support.topics import Topics

HOUR_MS = 3_600_000
TICK_MS = 5_000
SHARDS = 2


class Story(World):
    """A world whose records carry the times that `put` and `beat_of` give them, in ms after its begin."""

    def __init__(self, bootstrap: str, topics: Topics, folder: Path) -> None:
        def told(name: str, partitions: int, **config: str) -> str:
            return topics(name, partitions, message_timestamp_type="CreateTime", **config)

        super().__init__(bootstrap, told, folder, SHARDS)  # type: ignore[arg-type] # all that it calls
        self._topics = topics
        self.begin_ms = time.time_ns() // 10**6 - 6 * HOUR_MS
        self.fleet = Fleet(
            shards=SHARDS, connections=2, realtime_offset_ns=(self.begin_ms - 1_000_000) * 1_000_000
        )
        self.delivered: dict[str, dict[int, int]] = {host: {} for host in self.fleet.hosts}
        """Host -> shard -> last sequence."""
        self._number = 0
        self._timed = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0, **QUICK})

    def undisturbed(self, folder: Path) -> "Story":
        """Return another story at the same time, of the same hosts, in topics and a lake of its own."""
        folder.mkdir()
        again = Story(self.bootstrap, self._topics, folder)
        again.begin_ms = self.begin_ms
        return again

    def talk(self, rounds: int = 1) -> dict[str, list[EventBatch]]:
        """Let the hosts talk and return host -> what its agent packed."""
        packed: dict[str, list[EventBatch]] = {host: [] for host in self.fleet.hosts}
        for _ in range(rounds):
            for _, value in self.fleet.talk(3):
                batch = batch_codec.decode(value)
                packed[batch.host].append(batch)
        return packed

    def put(self, at_ms: int, batches: Iterable[EventBatch]) -> None:
        """Deliver batches at a time, and wait."""
        for batch in batches:
            self.delivered[batch.host][batch.shard] = batch.sequence
            self._produce(self.events, batch_codec.encode(batch), None, batch.shard, at_ms)
        assert self._timed.flush(60) == 0

    def beat_of(
        self,
        at_ms: int,
        host: str,
        *,
        age_ms: int = 0,
        acknowledged: dict[int, int] | None = None,
        step_ns: int = 0,
    ) -> None:
        """Let an agent say how old its oldest undelivered event is, and what was acknowledged.

        ``acknowledged``: None is what was delivered; ``step_ns``: its wall clock's error.
        """
        key, value = self.fleet.heartbeat(self.fleet.hosts.index(host), self._next())
        said = msgspec.structs.replace(
            control_codec.decode(value),
            oldest_undelivered_ns=age_ms * 1_000_000,
            sent_at_ns=(self.begin_ms + at_ms) * 1_000_000 + step_ns,
            acknowledged=self.delivered[host] if acknowledged is None else acknowledged,
        )
        self._produce(self.control, control_codec.encode(said), key, 0, at_ms)
        assert self._timed.flush(60) == 0

    def pass_time(self, at_ms: int) -> None:
        """Have every partition see a record of a time and one of a tick later, of a host without events."""
        for shard in range(SHARDS):
            for later in (0, TICK_MS):
                empty = EventBatch(
                    version=batch_codec.VERSION, host="clock", boot="", epoch=self.begin_ms * 1_000_000,
                    shards=SHARDS, shard=shard, sequence=self._next(), cumulative=0, events=0, packed_ns=0,
                    age_ns=0, realtime_offset_ns=0, flows=(), processes=(KERNEL,),
                )  # fmt: skip
                self._produce(self.events, batch_codec.encode(empty), None, shard, at_ms + later)
        assert self._timed.flush(60) == 0

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _produce(self, topic: str, value: bytes, key: bytes | None, partition: int, at_ms: int) -> None:
        self._timed.produce(topic, value, key, partition, timestamp=self.begin_ms + at_ms)


def matches(lake: Path) -> Counter[str]:
    """Match rows of a lake, but for what tells when they were made."""
    rows = read_kind(lake, "match").to_pylist()
    return Counter(repr({**row, "tick": 0, "flags": row["flags"] & ~LATE}) for row in rows)


def sums(table: pa.Table) -> dict[Any, dict[Any, int]]:
    """Histograms added up; what adds up to nothing is left out."""
    found: dict[Any, Counter[Any]] = {}
    for row in table.to_pylist():
        names = ("window_start_ns", "edge", "sender_host", "receiver_host", "measure", "clock", "keep")
        total = found.setdefault(tuple(row[name] for name in names), Counter())
        total.update({name: row[name] for name in ("n", "seen", "negative", "sum_ns")})
        total.update(dict(zip(row["buckets"], row["counts"], strict=True)))
    kept = {key: {name: n for name, n in total.items() if n} for key, total in found.items()}
    return {key: total for key, total in kept.items() if total}


def of_messages(table: pa.Table) -> pa.Table:
    """Leave out what is told of exchanges."""
    return table.filter(~pc.field("measure").isin(MEASURES))


def of_two_hosts(table: pa.Table, hosts: tuple[str, str]) -> pa.Table:
    """Leave out what is told of exchanges of others, and clients' turns.

    Where a host delivers again what it spooled, one exchange of each connection that went on is not told; the
    edge of a client's turn is that of when it was told.
    """
    both = pc.field("sender_host") == hosts[0]
    own = (
        pc.field("measure").isin(["server-turn", "network"]) & both & (pc.field("receiver_host") == hosts[1])
    )
    return table.filter(~pc.field("measure").isin(MEASURES) | own)


def words(lake: Path, *hosts: str) -> Counter[str]:
    """Words of exchanges that are open, of some hosts, by who told."""
    found: Counter[str] = Counter()
    for row in read_kind(lake, "exchange").to_pylist():
        found[f"{row['host']} {row['side']}"] += row["weight"] * (row["host"] in hosts)
    return Counter({name: n for name, n in found.items() if n})


def unmatched(lake: Path) -> Counter[str]:
    """Open ranges by reason, added up."""
    found: Counter[str] = Counter()
    for row in read_kind(lake, "unmatched").to_pylist():
        found[row["reason"]] += row["weight"]
    return Counter({reason: n for reason, n in found.items() if n})
