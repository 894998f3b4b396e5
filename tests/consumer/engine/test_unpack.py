# SPDX-License-Identifier: Apache-2.0
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from consumer.engine import Record
from consumer.engine.unpack import read, unpack
from schemas.batch import EventBatch, columns, decode, encode
from schemas.errors import RecordError
from schemas.event import Kind
from schemas.section import EMPTY, Section
from tests.consumer.engine.scene import Host, arrival, close, connect, ends, receive, send
from tests.consumer.engine.traffic import exchange

NUMBERS = st.sampled_from([0, 1, 255, 256, 2**40, 2**62 - 1])


def told(body: object) -> object:
    """What can be compared of columns or of the error in their place."""
    if isinstance(body, RecordError):
        return (body.reason, str(body))
    assert isinstance(body, dict)
    return {kind: {name: column.tolist() for name, column in table.items()} for kind, table in body.items()}


def alone(batch: EventBatch) -> object:
    try:
        return told(columns(batch))
    except RecordError as error:
        return told(error)


@st.composite
def batches(draw: st.DrawFn) -> EventBatch:
    """Batches with any mixture of kinds, runs and widths of numbers."""
    pair, host = ends(), Host("alpha")
    events: dict[Kind, list[dict[str, int]]] = {kind: [] for kind in Kind}
    for kind, make in ((Kind.SEND, send), (Kind.RECEIVE, receive)):
        for flow, process, position, time in draw(
            st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), NUMBERS, NUMBERS), max_size=5)
        ):
            more = {"flow": flow, "process": process, "time_ns": time, "srtt_us": position % 2**32}
            events[kind].append({**make(position, position + time % 2**32, 0), **more})
    for position in draw(st.lists(NUMBERS, max_size=4)):
        events[Kind.ARRIVAL].append(arrival(position, 5))
    for bytes_sent in draw(st.lists(NUMBERS, max_size=2)):
        events[Kind.CONNECT].append(connect(3, flow=1))
        events[Kind.CLOSE].append(close(9, sent_bytes=bytes_sent))
    return host.batch(list(pair), events)


@settings(max_examples=60)
@given(st.lists(batches(), max_size=6))
def test_batches_together_give_what_each_gives_alone(some: list[EventBatch]) -> None:
    """Any mixture of small batches has the same columns, with the same type."""
    found = unpack(some)
    assert [told(body) for body in found] == [alone(batch) for batch in some]
    for body in found:
        assert isinstance(body, dict)
        assert {column.dtype for table in body.values() for column in table.values()} <= {np.dtype(np.uint64)}


def bent(batch: EventBatch, data: st.DataObject) -> EventBatch:
    """The batch with one buffer of one section changed, cut or left out."""
    section = batch.sends if batch.sends.events else batch.receives
    fields = ["run_columns", "first_values", "event_columns"]
    name = data.draw(st.sampled_from(fields))
    buffers = list(getattr(section, name)) or [b""]
    at = data.draw(st.integers(0, len(buffers) - 1))
    buffers[at] = data.draw(
        st.sampled_from([b"", buffers[at][:-1], b"\x09", buffers[at] + b"x", b"\xff" * len(buffers[at])])
    )
    changed = replace(section, **{name: tuple(buffers[: data.draw(st.integers(at, len(buffers)))])})
    return replace(batch, sends=changed) if batch.sends.events else replace(batch, receives=changed)


@settings(max_examples=60)
@given(st.lists(batches(), min_size=2, max_size=5), st.data())
def test_a_bad_batch_is_refused_as_if_it_were_alone(some: list[EventBatch], data: st.DataObject) -> None:
    """Its error is the one that ``columns`` raises, and its neighbours keep their events."""
    at = data.draw(st.integers(0, len(some) - 1))
    some[at] = bent(some[at], data)
    assert [told(body) for body in unpack(some)] == [alone(batch) for batch in some]


def long(seed: int) -> EventBatch:
    """A batch of some hundred events a kind, in runs, with numbers of any width, small and large."""
    random = np.random.default_rng(seed)
    sizes = random.integers(200, 400, 3).tolist()
    ends_of = [*ends(), *ends()]

    def number(bits: int) -> int:
        return int(random.integers(0, 1 << int(random.integers(1, bits))))

    def runs(size: int) -> list[int]:
        return sorted(random.integers(0, 4, size).tolist())

    events = {
        Kind.SEND: [
            {**send(number(40), number(41), 0), "flow": flow, "time_ns": number(62), "length": number(32)}
            for flow in runs(sizes[0])
        ],
        Kind.RECEIVE: [
            {**receive(7 * at, 7 * at + 7, at), "flow": flow} for at, flow in enumerate(runs(sizes[1]))
        ],
        Kind.ARRIVAL: [{**arrival(number(62), number(62)), "flow": flow} for flow in runs(sizes[2])],
    }
    return Host("alpha").batch(ends_of, events)


def test_long_batches_together_give_what_each_gives_alone() -> None:
    """So do they beside short ones, and where one of them is bent."""
    some = [long(seed) for seed in range(4)]
    short = Host("beta").batch([ends()[0]], {Kind.SEND: [send(0, 9, 0)]})
    for others in ([], [short], [replace(some[0], sends=replace(some[0].sends, runs=1))]):
        every = [*some, *others, *some]
        assert [told(body) for body in unpack(every)] == [alone(batch) for batch in every]


def test_numbers_over_their_bits_are_refused_together_as_alone() -> None:
    """The sum of differences may not leave the field's range, in either direction."""
    good = long(7)
    for position in (2**62 - 1, 2**62, 2**63):
        bad = Host("alpha").batch([ends()[0]], {Kind.SEND: [send(0, 9, 0), send(position, position + 9, 1)]})
        assert [told(body) for body in unpack([good, bad])] == [alone(good), alone(bad)]


def test_lying_counts_are_refused_together_as_alone() -> None:
    """Negative counts, runs that do not add up and indices beyond the dictionary."""
    good = Host("alpha").batch([ends()[0]], {Kind.SEND: [send(0, 9, 0), send(9, 10, 1)]})
    lies = [
        replace(good, sends=replace(good.sends, events=-1)),
        replace(good, sends=replace(good.sends, runs=0)),
        replace(good, sends=replace(good.sends, runs=3)),
        replace(good, sends=replace(good.sends, run_lengths=b"\x01\x01")),
        replace(good, sends=replace(good.sends, run_lengths=b"\x00")),
        replace(good, flows=()),
        replace(good, processes=good.processes[:1]),
        replace(good, sends=Section(2, 1), receives=EMPTY),
        replace(good, connects=Section(0, 1)),
    ]
    for lie in lies:
        assert [told(body) for body in unpack([good, lie, good])] == [alone(good), alone(lie), alone(good)]


def test_records_come_in_order_with_their_bodies() -> None:
    """Large, small and broken records keep their places."""
    large = Host("beta").batch([ends()[0]], {Kind.SEND: [send(i, i + 1, i) for i in range(2_500)]})
    values = [value for _, value in exchange(seed=3, connections=2, messages=200)]
    values = [*values[:5], b"junk", encode(large), *values[5:]]
    found = list(read([Record(i, 0, value) for i, value in enumerate(values)]))
    assert [record.value for record, _, _ in found] == values
    assert isinstance(found[5][1], RecordError)
    good = [one for one in found if one[0].value != b"junk"]
    assert [told(body) for _, _, body in good] == [alone(decode(record.value)) for record, _, _ in good]
