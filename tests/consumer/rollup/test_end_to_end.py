# SPDX-License-Identifier: Apache-2.0
"""Two hosts with clocks of their own, through Kafka, consumer and roll-up: the truth is within the bound."""

import logging
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from support.apart import ApartFleet, talk, truth
from support.consumer import Runner, World, read_kind, wait_for
from support.topics import Topics
from wirelag.cli import main

MINUTE = 60 * 10**9
KEY = ("window_start_ns", "window_ns", "edge", "sender_host", "receiver_host", "measure", "clock", "keep")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The command sets this process's logging up, to a stream that ends with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def world(kafka: str, topics: Topics, tmp_path: Path) -> World:
    return World(kafka, topics, tmp_path, 2)


def test_latencies_between_hosts_are_rolled_up_within_their_bound(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = (time.time_ns() // 3600_000_000_000 - 2) * 3600_000_000_000
    fleet = ApartFleet(shards=2, connections=2, realtime_offset_ns=begin - 1_000_000_000_000)
    talk(world, fleet, 130)
    world.consume()
    lake = world.folder / "lake"
    assert main(["rollup", "--lake", str(lake)]) == 0
    said = capsys.readouterr().out
    messages = truth(lake, fleet.ahead_ns)
    corrected, withheld = (
        int(found.replace(",", "")) for found in re.findall(r"([\d,]+) (?:messages corrected|withheld)", said)
    )
    assert corrected + withheld == len(messages)
    assert 0 < withheld < len(messages) // 8, "near both ends nothing shows that a clock did not step"

    rows = read_kind(lake, "rollup").to_pylist()
    for length in (MINUTE, 60 * MINUTE):
        _require_within_bounds([row for row in rows if row["window_ns"] == length], messages)
    whole = [row for row in rows if row["window_ns"] == MINUTE and row["clock"] == "bounded"]
    assert max(row["clock_bound_ns"] for row in whole) < 1_000_000

    known = {(m["connection"], m["direction"], m["end"]): m["truth_ns"] for m in messages}
    exemplars = read_kind(lake, "exemplar").to_pylist()
    assert len(exemplars) == 4 * len({(e["window_start_ns"], e["edge"]) for e in exemplars}) > 0
    for row in exemplars:
        off = row["delivery_ns"] - known[row["connection"], row["direction"], row["end"]]
        assert abs(off) <= row["clock_bound_ns"]
    solutions = read_kind(lake, "clock_solution").to_pylist()
    assert {(row["first_host"], row["second_host"], row["status"]) for row in solutions} == {
        ("alpha", "beta", "bounded")
    }
    assert main(["rollup", "--lake", str(lake)]) == 0
    assert capsys.readouterr().out.startswith("0 hours and 0 days")


def _require_within_bounds(rows: list[dict[str, Any]], messages: list[dict[str, Any]]) -> None:
    """Each message is counted once, corrected or withheld; sums are off by no more than bounds allow."""
    length = rows[0]["window_ns"]
    truths: dict[Any, list[int]] = {}
    for one in messages:
        truths.setdefault((one["sent_at_ns"] // length * length, one["edge"]), []).append(one["truth_ns"])
    seen: Counter[Any] = Counter()
    checked = 0
    for row in rows:
        if row["measure"] != "delivery":
            continue
        key = row["window_start_ns"], row["edge"]
        seen[key] += row["seen"]
        assert row["n"] == (row["seen"] if row["clock"] == "bounded" else 0)
        assert row["negative"] == 0
        if row["n"] == len(truths[key]):
            checked += 1
            assert abs(row["sum_ns"] - sum(truths[key])) <= row["n"] * row["clock_bound_ns"]
    assert seen == Counter({key: len(some) for key, some in truths.items()})
    assert checked or length > MINUTE


@pytest.mark.slow
def test_a_consumer_that_follows_has_it_done_beside_it(world: World) -> None:
    """Two consumers of one group: the roll-up of both is there once, and both end when they are told to."""
    begin = (time.time_ns() // 3600_000_000_000 - 2) * 3600_000_000_000
    fleet = ApartFleet(shards=2, connections=2, realtime_offset_ns=begin - 1_000_000_000_000)
    lake, told = world.folder / "lake", ("consumer.rollup.every=1s", "consumer.idle-flush=500ms")
    talk(world, fleet, 35)
    with Runner(world) as one, Runner(world) as other:
        pids = [(runner, runner.start(*told, until_end=False)) for runner in (one, other)]
        talk(world, fleet, 35)
        wait_for(lambda: world.matched() == fleet.sends)
        wait_for(lambda: _seen(lake) == fleet.sends)
        assert [runner.stop(pid) for runner, pid in pids] == [0, 0]
    rows = read_kind(lake, "rollup").to_pylist()
    keys = Counter(tuple(row[name] for name in KEY) for row in rows)
    assert set(keys.values()) == {1}


def _seen(lake: Path) -> int:
    """Messages of which the roll-up's hours tell, with a latency or not."""
    rows = read_kind(lake, "rollup").to_pylist()
    wanted = ("delivery", 60 * MINUTE)
    return sum(row["seen"] for row in rows if (row["measure"], row["window_ns"]) == wanted)
