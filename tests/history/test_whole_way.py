# SPDX-License-Identifier: Apache-2.0
"""From events to answers with the real engine and the real lake: the figures are those of the traffic."""

from pathlib import Path

import pyarrow as pa

from consumer.engine import ControlEngine, EngineSettings, EventEngine
from consumer.engine.records import Record
from history.connections import connections
from history.latency import latency
from history.messages import messages
from history.source import Source
from history.span import Span
from lake.facts import Facts, PartitionCommit
from support.batches import Fleet

TICK_MS = 1_760_000_000_000 + 1_000_000
WHOLE = Span(0, 2**63 - 1)
KINDS = "delivery,wire,receive-wait,send-block"


def part(topic: str, partition: int, to_offset: int, rows: dict[str, pa.Table]) -> PartitionCommit:
    return PartitionCommit(
        topic=topic,
        topic_id=f"{topic}-id",
        partition=partition,
        from_offset=0,
        to_offset=to_offset,
        state=b"",
        flushed=True,
        rows=rows,
    )


def consumed(fleet: Fleet, lake: Path, messages_each: int) -> Source:
    """Let the fleet talk, match everything and commit it in one go."""
    settings = EngineSettings()
    engines = {shard: EventEngine(shard, settings) for shard in range(fleet.shards)}
    control = ControlEngine(0, settings)
    offsets = dict.fromkeys(engines, 0)
    for shard, value in fleet.talk(messages_each):
        engines[shard].apply([Record(offsets[shard], TICK_MS, value)])
        offsets[shard] += 1
    heartbeats = [Record(host, TICK_MS, fleet.heartbeat(host, 0)[1]) for host in range(len(fleet.hosts))]
    control.apply(heartbeats)
    facts = Facts.open(str(lake))
    parts = [part("events", shard, offsets[shard], engine.flush().rows) for shard, engine in engines.items()]
    facts.commit([*parts, part("control", 0, len(heartbeats), control.flush().rows)])
    return Source(str(lake))


def test_every_message_is_answered(lake: Path) -> None:
    """All sends have a delivery, wire and receive wait, and they add up as they must."""
    fleet = Fleet(shards=2, connections=3)
    source = consumed(fleet, lake, 40)
    figures = {one.kind: one for one in latency(source, WHOLE, by="measure", kinds=KINDS).figures}
    assert {kind: one.n for kind, one in figures.items()} == dict.fromkeys(
        ("delivery", "wire", "receive-wait", "send-block"), fleet.sends
    )
    found = list(messages(source, WHOLE, kinds="delivery,wire,receive-wait"))
    assert len(found) == 3 * fleet.sends
    for at in range(0, len(found), 3):
        delivery, wire, wait = (one["latency_ns"] for one in found[at : at + 3])
        assert delivery == wire + wait
    exact = sorted(one["latency_ns"] for one in found[::3])
    assert (figures["delivery"].min_ns, figures["delivery"].max_ns) == (exact[0], exact[-1])
    assert figures["delivery"].mean_ns == sum(exact) // len(exact)


def test_hosts_without_a_common_clock_have_no_one_way_latency(lake: Path) -> None:
    """Between two boots delivery and wire are withheld and counted; what one host measures is answered."""
    fleet = Fleet(shards=2, connections=3, boots=("boot-1", "boot-2"))
    source = consumed(fleet, lake, 10)
    answer = latency(source, WHOLE, by="measure", kinds=KINDS)
    assert {one.kind: one.n for one in answer.figures} == dict.fromkeys(
        ("receive-wait", "send-block"), fleet.sends
    )
    assert answer.withheld == fleet.sends
    assert list(messages(source, WHOLE)) == []
    assert len(list(messages(source, WHOLE, unsynced=True))) == fleet.sends


def test_both_ends_of_every_connection(lake: Path) -> None:
    """Each connection is there twice, once from either end."""
    fleet = Fleet(shards=2, connections=3)
    found = list(connections(consumed(fleet, lake, 2), WHOLE))
    assert len(found) == 2 * 6
    assert len({one["connection"] for one in found}) == 6
