# SPDX-License-Identifier: Apache-2.0
"""What a running agent reads of its host's clocks comes into the lake, each reading once."""

import time
from pathlib import Path

import numpy as np
import pytest

from agent.clocks import read
from schemas.control import Heartbeat, Reading
from support.agents import heartbeats, until
from support.consumer import read_kind
from support.netns import VethPair, hosts_of
from support.topics import Topics
from support.whole_way import SHARDS, AgentProcess, Names, consume

pytestmark = pytest.mark.kernel
SECOND = 10**9
ENOUGH = 4


def test_readings_of_an_agent_are_in_the_lake(topics: Topics, kafka: str, tmp_path: Path) -> None:
    names = Names(kafka, topics("events", SHARDS), topics("control"), topics("latency"), topics("poison"))
    begin = read()
    seen: set[Reading] = set()

    def enough(beat: Heartbeat) -> bool:
        seen.update(beat.readings)
        return len(seen) >= ENOUGH

    with VethPair() as network, AgentProcess(names, hosts_of(network), "agent.heartbeat=500ms"):
        until(names, enough)
    end = read()
    told = heartbeats(names)
    first = told[0].readings[0]
    assert first not in told[-1].readings, "Kafka took it, so it is not told again"
    consume(names, tmp_path / "lake")
    rows = read_kind(tmp_path / "lake", "reading").sort_by("monotonic_ns").to_pylist()
    assert [row["monotonic_ns"] for row in rows] == sorted(
        {one.monotonic_ns for beat in told for one in beat.readings}
    )
    times = np.array([row["monotonic_ns"] for row in rows])
    assert begin.monotonic_ns < times[0] < times[-1] < end.monotonic_ns
    assert np.diff(times).min() >= 0.99 * SECOND
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    assert {row["boot"] for row in rows} == {boot}
    for row in rows:
        # CLOCK_MONOTONIC and the crystal part by 0.1 % at the very most
        slack = (row["width_ns"] + begin.width_ns) / 2 + (row["monotonic_ns"] - begin.monotonic_ns) / 1000
        assert abs(row["raw_offset_ns"] - begin.raw_offset_ns) <= slack
        assert abs(row["at_ns"] - row["monotonic_ns"] - row["realtime_offset_ns"]) == 0
        assert abs(row["at_ns"] - time.time_ns()) < 600 * SECOND
