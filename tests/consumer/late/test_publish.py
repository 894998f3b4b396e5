# SPDX-License-Identifier: Apache-2.0
"""What looks lead to is published at least once, under ids that stay, and marked late."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from common.errors import RuntimeFailure
from consumer.late.publish import packed, publisher
from consumer.late.rematch import Rematch
from consumer.publish.message import Delivery, Outgoing
from lake.errors import StalePositionError
from lake.late import FOLDER, TRACE_POINTS, Late
from schemas.latency import LatencyRecord
from support.consumer import read_kind
from tests.consumer.engine.traffic import exchange
from tests.consumer.late.test_corrections import WINDOW_NS
from tests.consumer.late.test_look import fill


class Killed(BaseException):
    """Stands for the end of a process: nothing is cleaned up after it."""


class Topic:
    """Takes records, or says that it took none."""

    def __init__(self) -> None:
        self.records: list[LatencyRecord] = []
        self.down = False

    def send(self, batch: Iterable[Outgoing]) -> Delivery:
        found = [msgspec.json.decode(one.value, type=LatencyRecord) for one in batch]
        if self.down:
            return Delivery(0, len(found), 0, "down")
        self.records += found
        return Delivery(len(found), 0, 0, "")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake in which half of the batches came late."""
    folder = tmp_path_factory.mktemp("before") / "lake"
    values = [value for _, value in exchange(3, 2, 8)]
    fill(folder, values, [at % 2 == 1 for at in range(len(values))])
    return folder


@pytest.fixture
def lake(before: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(before, tmp_path / "lake"))


def looks(lake: Path, topic: Topic, dies_at: str = "") -> Rematch:
    def trace(point: str) -> None:
        if point == dies_at:
            raise Killed

    return Rematch(Late.open(str(lake), trace=trace), WINDOW_NS, publish=publisher(topic, "latency"))


def owed(lake: Path) -> int:
    return len(list((lake / FOLDER).glob("*"))) if (lake / FOLDER).exists() else 0


def told(records: list[LatencyRecord]) -> list[tuple[object, ...]]:
    once = {one.record_id: one for one in records}
    return sorted((one.edge, one.measure, one.clock, one.window_start_ns, one.count, one.seen, one.sum_ns)
                  for one in once.values())  # fmt: skip


def committed(lake: Path) -> list[tuple[object, ...]]:
    rows = [row for row in read_kind(lake, "histogram").to_pylist() if row["tick"] < 0]
    names = ("edge", "measure", "clock", "window_start_ns", "n", "seen", "sum_ns")
    return sorted(tuple(row[name] for name in names) for row in rows)


def test_what_a_look_leads_to_is_published_and_marked(lake: Path) -> None:
    """A part for each row of the commit; what takes back has negative counts, and no quantiles."""
    topic = Topic()
    assert looks(lake, topic).once().matches == 8
    assert told(topic.records) == committed(lake) != []
    assert {one.late for one in topic.records} == {True}
    back = [one for one in topic.records if one.count <= 0]
    assert back
    assert {(one.p50_ns, one.p99_ns, one.min_ns) for one in back} == {(0, 0, 0)}
    assert owed(lake) == 0
    count = len(topic.records)
    assert looks(lake, topic).once().matches == 0
    assert len(topic.records) == count


@pytest.mark.parametrize("point", TRACE_POINTS)
def test_whenever_a_look_dies_the_next_one_publishes_what_is_missing(lake: Path, point: str) -> None:
    topic = Topic()
    with pytest.raises((Killed, RuntimeFailure)):
        looks(lake, topic, point).once()
    assert topic.records == []
    looks(lake, topic).once()
    assert told(topic.records) == committed(lake) != []
    looks(lake, topic).once()
    assert owed(lake) == 0
    assert len({one.record_id for one in topic.records}) == len(topic.records)


def test_what_kafka_did_not_take_is_sent_before_anything_else_is_looked_at(lake: Path) -> None:
    topic = Topic()
    topic.down = True
    for _ in range(2):
        with pytest.raises(RuntimeFailure, match="not published"):
            looks(lake, topic).once()
    topic.down = False
    looks(lake, topic).once()
    assert told(topic.records) == committed(lake)
    assert owed(lake) == 0


def test_what_a_look_that_was_refused_left_counts_for_nothing(lake: Path) -> None:
    """Another one looked at the same version, and then at a later one: what it sends has the same ids."""
    topic, other = Topic(), Topic()
    late = looks(lake, topic)
    look = late.lake.look(late.reach_ns)
    assert look is not None
    rows, _ = late._rows(look)
    assert looks(lake, other).once().matches == 8
    with pytest.raises(StalePositionError):
        late.lake.commit(look, rows, packed(rows["histogram"]))
    assert owed(lake) == 1
    values = [value for _, value in exchange(5, 1, 4)]
    fill(lake, values, [at % 2 == 1 for at in range(len(values))])
    assert looks(lake, topic).once().matches == 4
    looks(lake, topic).once()
    assert told([*topic.records, *other.records]) == committed(lake)
    assert owed(lake) == 0


def test_what_a_look_owes_at_a_version_that_was_never_the_last_is_not_sent(lake: Path) -> None:
    """It was not committed, so it is deleted with the next that was."""
    topic, late = Topic(), Late.open(str(lake))
    look = late.look(10**9)
    assert look is not None
    values = [value for _, value in exchange(5, 1, 4)]
    fill(lake, values, [at % 2 == 1 for at in range(len(values))])
    with pytest.raises(StalePositionError):
        late.commit(replace(look, since=1), {}, b"never")
    assert owed(lake) == 1
    looks(lake, topic).once()
    assert told(topic.records) == committed(lake)
    assert owed(lake) == 0
