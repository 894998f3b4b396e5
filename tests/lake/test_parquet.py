# SPDX-License-Identifier: Apache-2.0
"""Rows into files: every row in the file of its hour, whatever form its columns have."""

import json
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake.delta import open_storage
from lake.parquet import hour_name, write_kind
from lake.storage import Storage
from tests.lake.synthetic import HOUR, rows


@pytest.fixture
def storage(folder: str) -> Storage:
    return open_storage(folder, {})


def _with_hours(hours: list[int], *, dictionary: bool, first: int) -> pa.Table:
    table = rows("ledger", 0, range(first, first + len(hours)), 0)
    table = table.set_column(
        table.schema.get_field_index("hour_index"), "hour_index", pa.array(hours, pa.int64())
    )
    if not dictionary:
        table = table.set_column(2, "host", table["host"].cast(pa.string()))
    return table


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    tables=st.lists(
        st.tuples(st.lists(st.integers(HOUR - 1, HOUR + 25), max_size=8), st.booleans()), max_size=4
    )
)
def test_every_row_is_in_the_file_of_its_hour(
    storage: Storage, folder: str, tables: list[tuple[list[int], bool]]
) -> None:
    made = [
        _with_hours(hours, dictionary=dictionary, first=100 * index)
        for index, (hours, dictionary) in enumerate(tables)
    ]
    wanted = defaultdict(list)
    for table in made:
        for row in table.to_pylist():
            wanted[hour_name(row.pop("hour_index"))].append(row)
    files = write_kind(storage, "ledger", made)
    assert len({file.path for file in files}) == len(files) == len(wanted)
    for file in files:
        assert file.path.startswith(f"kind=ledger/date={file.date}/hour={file.hour}/part-")
        path = Path(folder) / file.path
        assert path.stat().st_size == file.size
        assert pq.read_table(path, partitioning=None).to_pylist() == wanted[file.date, file.hour]


def test_the_logs_statistics_are_those_of_the_rows(storage: Storage) -> None:
    [file] = write_kind(
        storage, "match", [rows("match", 0, range(5, 9), 0), rows("match", 1, range(2, 4), 0)]
    )
    assert json.loads(file.stats) == {
        "numRecords": 6,
        "minValues": {"sent_at_ns": HOUR * 3600 * 10**9 + 2},
        "maxValues": {"sent_at_ns": HOUR * 3600 * 10**9 + 8},
        "nullCount": {"sent_at_ns": 0},
    }


def test_a_column_of_nulls_has_no_least_value(storage: Storage) -> None:
    table = rows("match", 0, range(2), 0)
    index = table.schema.get_field_index("sent_at_ns")
    [file] = write_kind(
        storage, "match", [table.set_column(index, "sent_at_ns", pa.array([None] * 2, pa.int64()))]
    )
    assert json.loads(file.stats) == {
        "numRecords": 2,
        "minValues": {},
        "maxValues": {},
        "nullCount": {"sent_at_ns": 2},
    }


def test_dictionaries_that_differ_are_joined_and_stay_one_in_the_file(storage: Storage, folder: str) -> None:
    tables = [rows("match", index, range(index, index + 2), 0) for index in range(4)]
    [file] = write_kind(storage, "match", tables)
    path = Path(folder) / file.path
    found = pq.read_table(path, columns=["edge"], partitioning=None)["edge"]
    assert found.to_pylist() == [f"name-{index % 5}" for start in range(4) for index in (start, start + 1)]
    edge = pq.ParquetFile(path).metadata.row_group(0).column(pq.read_schema(path).get_field_index("edge"))
    assert "RLE_DICTIONARY" in edge.encodings
    assert edge.is_stats_set


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda table: table.drop_columns(["edge"]), "edge"),
        (lambda table: table.append_column("extra", pa.array([1, 2])), "extra"),
        (lambda table: table.drop_columns(["hour_index"]), "hour_index"),
        (
            lambda table: table.set_column(0, "topic_partition", pa.array([1, 2], pa.int64())),
            "topic_partition",
        ),
    ],
)
def test_columns_that_differ_are_named(storage: Storage, change: object, named: str) -> None:
    assert callable(change)
    with pytest.raises(ValueError, match=rf"kind match differ from its columns in: {named}$"):
        write_kind(storage, "match", [change(rows("match", 0, range(2), 0))])


def test_a_row_without_an_hour_is_refused(storage: Storage) -> None:
    table = rows("match", 0, range(2), 0)
    index = table.schema.get_field_index("hour_index")
    with pytest.raises(ValueError, match="no hour_index"):
        write_kind(
            storage, "match", [table.set_column(index, "hour_index", pa.array([HOUR, None], pa.int64()))]
        )


def test_the_order_of_columns_does_not_matter(storage: Storage) -> None:
    table = rows("match", 0, range(2), 0)
    assert len(write_kind(storage, "match", [table.select(table.column_names[::-1])])) == 1


@pytest.mark.parametrize(
    ("hour_index", "name"),
    [
        (0, ("1970-01-01", 0)),
        (-1, ("1969-12-31", 23)),
        (486_000, ("2025-06-11", 0)),
        (486_023, ("2025-06-11", 23)),
    ],
)
def test_hours_are_counted_from_the_epoch_in_utc(hour_index: int, name: tuple[str, int]) -> None:
    assert hour_name(hour_index) == name
