# SPDX-License-Identifier: Apache-2.0
"""Rows and columns say the same: what is packed comes back, whatever the values up to their limits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import batch as codec
from schemas import columns as packed
from schemas import control, example
from schemas.errors import RecordError
from schemas.event import STRUCTS, Kind
from schemas.field import Packing, columns_of
from schemas.section import MAX_EVENTS, Columns, Section, pack, unpack

FLOWS, PROCESSES = 3, 2
Row = dict[str, int]
Rows = dict[Kind, list[Row]]


def value(bits: int) -> st.SearchStrategy[int]:
    top = 2**bits - 1
    return st.one_of(st.integers(0, min(top, 300)), st.integers(0, top), st.sampled_from([0, top]))


def row(kind: Kind) -> st.SearchStrategy[Row]:
    limits = {"flow": FLOWS - 1, "process": PROCESSES - 1}
    fields = {
        column.name: st.integers(0, limits[column.name])
        if column.packing is Packing.RUN
        else value(column.bits)
        for column in columns_of(STRUCTS[kind])
    }
    return st.fixed_dictionaries(fields)


def rows_of_all_kinds() -> st.SearchStrategy[Rows]:
    return st.fixed_dictionaries({kind: st.lists(row(kind), max_size=12) for kind in Kind})


def table(kind: Kind, rows: list[Row]) -> Columns:
    names = [column.name for column in columns_of(STRUCTS[kind])]
    return {name: np.array([one[name] for one in rows], dtype=np.uint64) for name in names}


def with_rows(rows: Rows) -> codec.EventBatch:
    head = {name: getattr(example.batch(), name) for name in codec.EventBatch.__struct_fields__}
    sections = {f"{kind.name.lower()}s": pack(kind, table(kind, rows[kind])) for kind in Kind}
    flows = tuple(codec.Flow(3 + 12 * n, n % 2, 4, 1, bytes(16), 1, bytes(16), 2, 7) for n in range(FLOWS))
    return codec.EventBatch(**(head | sections | {"flows": flows, "events": sum(map(len, rows.values()))}))


@given(rows_of_all_kinds())
def test_rows_come_back(rows: Rows) -> None:
    """Rows packed, encoded, decoded and unpacked are the same rows in the same order."""
    expected = [STRUCTS[kind](**one) for kind in STRUCTS for one in rows[kind]]
    assert codec.rows(codec.decode(codec.encode(with_rows(rows)))) == expected


@given(rows_of_all_kinds())
def test_encoding_is_stable(rows: Rows) -> None:
    """A decoded batch encodes to the bytes it came from."""
    written = codec.encode(with_rows(rows))
    assert codec.encode(codec.decode(written)) == written


@given(st.sampled_from(list(Kind)), st.data())
def test_strided_and_narrow_columns_pack_alike(kind: Kind, data: st.DataObject) -> None:
    """A view with gaps, or a column of a smaller type, packs to the same bytes as a plain one."""
    rows = data.draw(st.lists(row(kind), min_size=1, max_size=8))
    plain = table(kind, rows)
    strided = {name: np.repeat(column, 2)[::2] for name, column in plain.items()}
    strided["flow"] = plain["flow"].astype(np.uint16)
    assert pack(kind, strided) == pack(kind, plain)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_zigzag_is_undone(numbers: list[int]) -> None:
    """Every signed 64-bit number survives zigzag."""
    signed = np.array(numbers, dtype=np.int64)
    assert packed.unzigzag(packed.zigzag(signed)).tolist() == numbers


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40))
def test_plain_column_takes_only_the_bytes_it_needs(numbers: list[int]) -> None:
    """A packed column has one byte of width and as many planes as its greatest value has bytes."""
    column = packed.pack_plain(np.array(numbers, dtype=np.uint64))
    width = (max(numbers, default=0).bit_length() + 7) // 8
    assert len(column) == 1 + width * len(numbers)
    assert packed.unpack_plain(column, len(numbers), 64, "x").tolist() == numbers


@pytest.mark.parametrize("kind", list(Kind))
def test_full_section_comes_back(kind: Kind) -> None:
    """The greatest allowed number of events survives, one more is refused when packed."""
    random = np.random.default_rng(1)
    full = {
        column.name: random.integers(0, 2 ** min(column.bits, 10), MAX_EVENTS).astype(np.uint64)
        for column in columns_of(STRUCTS[kind])
    }
    found = unpack(kind, pack(kind, full))
    assert all(np.array_equal(found[name], full[name]) for name in full)
    with pytest.raises(RecordError, match="allowed are 65536"):
        pack(kind, {name: np.append(column, column[:1]) for name, column in full.items()})


def test_neighbours_that_continue_cost_nothing() -> None:
    """A stream whose events follow one another without a gap stores no byte of position."""
    lengths = np.full(1000, 1_448, dtype=np.uint64)
    columns: dict[str, Any] = {
        column.name: np.zeros(1000, dtype=np.uint64) for column in columns_of(STRUCTS[Kind.SEND])
    }
    columns |= {"length": lengths, "position": np.cumsum(lengths) + np.uint64(2**40)}
    section = pack(Kind.SEND, columns)
    names = [c.name for c in columns_of(STRUCTS[Kind.SEND]) if c.packing is not Packing.RUN]
    assert section.event_columns[names.index("position")] == b"\0"


def test_empty_kind_is_the_empty_section() -> None:
    """No events of a kind need no columns."""
    assert pack(Kind.SEND, table(Kind.SEND, [])) == Section(0, 0)
    assert codec.columns(with_rows({kind: [] for kind in Kind}))[Kind.SEND]["length"].size == 0


counts = st.integers(0, 2**63 - 1)


@given(
    st.dictionaries(st.integers(0, 65_535), counts, max_size=5),
    st.lists(st.tuples(st.text(max_size=64), st.text(max_size=64), counts), max_size=5),
    st.text(min_size=1, max_size=255),
    counts,
)
def test_heartbeat_comes_back(
    acknowledged: dict[int, int], totals: list[tuple[str, str, int]], host: str, number: int
) -> None:
    """A heartbeat of any allowed content is read as it was written."""
    written = control.Heartbeat(
        version=1,
        host=host,
        boot="b",
        epoch=number,
        sequence=number,
        sent_at_ns=number,
        monotonic_ns=number,
        oldest_undelivered_ns=number,
        acknowledged=acknowledged,
        totals=tuple(control.Total(*total) for total in totals),
        final=True,
        readings=(control.Reading(number, -number, number, -number), control.Reading(0, 0, 0, 0, number)),
    )
    assert control.decode(control.encode(written)) == written
