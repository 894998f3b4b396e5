# SPDX-License-Identifier: Apache-2.0
"""Random but reproducible traffic of two hosts, in batches that come late, twice or not at all."""

import numpy as np
from hypothesis import strategies as st

from consumer.engine import ControlEngine, EngineSettings, EventEngine, Output, Record
from schemas.batch import Process, encode
from schemas.event import Kind
from tests.consumer.engine.scene import BASE_MS, Host, arrival, ends, receive, send

SETTINGS = EngineSettings(tick_ms=1_000, horizon_ms=4_000, window_ns=1_000_000_000)
Rows = dict[str, list[dict[str, object]]]


def exchange(seed: int, connections: int, messages: int) -> list[tuple[Host, bytes]]:
    """Batches of both hosts, two a message: its send, and how it was received."""
    random = np.random.default_rng(seed)
    hosts = (
        Host("alpha"),
        Host("beta", processes=(Process(0, "kernel"), Process(5, "srv"), Process(6, "aux"))),
    )
    positions = np.zeros((connections, 2), dtype=np.int64)
    found = []
    for step in range(messages):
        number, way = int(random.integers(connections)), int(random.integers(2))
        begin = int(positions[number, way])
        end = begin + int(random.integers(1, 50))
        positions[number, way] = end
        at, pair = step * 1_000_000, ends(number + 1)
        middle = int(random.integers(begin, end))
        process = int(random.integers(1, len(hosts[1 - way].processes)))
        sent = hosts[way].batch([pair[way]], {Kind.SEND: [send(begin, end, at)]})
        reads = [(low, high) for low, high in ((begin, middle), (middle, end)) if low < high]
        events = {
            Kind.RECEIVE: [receive(low, high, at + 900 + low, process=process) for low, high in reads],
            Kind.ARRIVAL: [arrival(end, at + 400)],
        }
        read = hosts[1 - way].batch([pair[1 - way]], events)
        found += [(hosts[way], encode(sent)), (hosts[1 - way], encode(read))]
    return found


@st.composite
def topics(draw: st.DrawFn, messages: int = 12) -> list[Record]:
    """Records with losses, repeats, disorder and junk, and a broker's time that mostly rises."""
    batches = [value for _, value in exchange(draw(st.integers(0, 99)), draw(st.integers(1, 4)), messages)]
    order = draw(st.lists(st.integers(0, len(batches) - 1), min_size=1, max_size=2 * len(batches)))
    if draw(st.booleans()):
        order = list(range(len(batches)))
    values = [batches[i] if draw(st.integers(0, 19)) else b"junk" for i in order]
    now, records = BASE_MS, []
    for offset, value in enumerate(values):
        now += draw(st.sampled_from([0, 0, 1, 300, 2_500, -400, 9_000]))
        records.append(Record(offset, now, value))
    return records


def collect(outputs: list[Output]) -> Rows:
    """All rows of outputs as plain objects, in order."""
    rows: Rows = {}
    for output in outputs:
        for kind, table in output.rows.items():
            rows.setdefault(kind, []).extend(table.to_pylist())
    return rows


def run(records: list[Record], settings: EngineSettings = SETTINGS, *, flush: bool = True) -> Rows:
    """Rows of a fresh engine that takes all records in one call."""
    engine = EventEngine(0, settings)
    outputs = [engine.apply(records)]
    return collect([*outputs, engine.flush()] if flush else outputs)


def of_heartbeats_in_pieces(records: list[Record], data: st.DataObject) -> Rows:
    """All rows of the control engine where records are cut at random, a snapshot taken at each cut."""
    engine, outputs, rest = ControlEngine(0, SETTINGS), [], records
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        outputs.append(engine.apply(rest[:size]))
        engine, rest = ControlEngine.restore(engine.snapshot(), 0, SETTINGS), rest[size:]
    return collect([*outputs, engine.flush()])
