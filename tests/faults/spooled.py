# SPDX-License-Identifier: Apache-2.0
"""Two more hosts for a story: one asks and the other answers, of which a spool may hold a side for hours."""

from collections import Counter
from pathlib import Path

import msgspec

from schemas.batch import EventBatch, decode
from support.consumer import read_kind
from support.stories import SHARDS, Story
from tests.consumer.engine.scene import START_NS, Host, ends
from tests.consumer.engine.spoken import EVEN, NAMES, SAME, records, world

Part = tuple[int, str, str, str, int, int, int]


def late_parts(lake: Path) -> Counter[Part]:
    """What looks committed of histograms."""
    rows = [row for row in read_kind(lake, "histogram").to_pylist() if row["tick"] < 0]
    names = ("window_start_ns", "edge", "measure", "clock", "n", "seen", "sum_ns")
    return Counter(tuple(row[name] for name in names) for row in rows)  # type: ignore[misc] # seven of them


def published(story: Story, topic: str) -> Counter[Part]:
    """What was published of it, each id once."""
    records = {one.record_id: one for one in story.latencies(topic)}
    assert all(one.late for one in records.values())
    return Counter(
        (one.window_start_ns, one.edge, one.measure, one.clock, one.count, one.seen, one.sum_ns)
        for one in records.values()
    )


def in_shard(batch: EventBatch) -> EventBatch:
    """Return a batch with connections named so that they belong to shard 0."""
    flows = (msgspec.structs.replace(flow, connection=SHARDS * flow.connection) for flow in batch.flows)
    return msgspec.structs.replace(batch, flows=tuple(flows))


def asked_and_answered(story: Story) -> tuple[list[EventBatch], list[EventBatch]]:
    """What the agents of two more hosts packed of requests and responses, to the end of their connections."""
    events, _ = world(EVEN, count=2, size=30)
    given = [decode(one.value) for one in records(events, size=40, clocks=SAME, closed=True)]
    offset_ns = story.begin_ms * 1_000_000 - START_NS
    told = {"realtime_offset_ns": offset_ns, "shards": SHARDS}
    sides = []
    for name, host in zip(NAMES, ("gamma", "delta"), strict=True):
        mine = [one for one in given if one.host == name]
        sides.append([in_shard(msgspec.structs.replace(one, host=host, boot=host, **told)) for one in mine])
    return sides[0], sides[1]


def addresses(story: Story) -> list[EventBatch]:
    """Other connections of these hosts: whoever reads of them knows whose addresses they are."""
    offset_ns = story.begin_ms * 1_000_000 - START_NS
    hosts = [Host(name, boot=name, epoch=1, offset_ns=offset_ns) for name in ("gamma", "delta")]
    told = [host.batch([ends(900 + side)[side]], {}, shards=SHARDS) for side, host in enumerate(hosts)]
    return [in_shard(one) for one in told]
