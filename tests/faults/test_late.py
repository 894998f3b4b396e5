# SPDX-License-Identifier: Apache-2.0
"""One host's events come late: while others wait for them, and hours after they were called unmatched."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from consumer.late.rematch import Rematch
from history.latency import latency
from history.source import Source
from history.span import Span
from lake.late import TRACE_POINTS, Late
from schemas.turns import MEASURES
from support.consumer import halted, read_kind, wait_for
from support.faults import Faults
from support.kafka import ROOT
from support.rematch_runner import WINDOW_NS
from support.stories import HOUR_MS, Story, matches, of_two_hosts, sums, unmatched, words
from support.topics import Topics
from tests.faults.spooled import addresses, asked_and_answered, late_parts, published

MINUTE_MS = 60_000
STEP_NS = 3_600 * 10**9


@pytest.fixture
def story(kafka: str, topics: Topics, tmp_path: Path) -> Story:
    return Story(kafka, topics, tmp_path)


def stored(story: Story) -> int:
    """Events that the lake has, of the hosts that talk."""
    rows = read_kind(story.folder / "lake", "ledger").to_pylist()
    own = [row for row in rows if row["host"] in story.fleet.hosts]
    return sum(row["events"] for row in own if (row["stage"], row["reason"]) == ("consumer", "stored"))


def test_events_wait_for_a_host_whose_agent_says_that_it_is_behind(story: Story, faults: Faults) -> None:
    """Ten minutes late, and nothing is unmatched; steps of its wall clock by an hour change nothing."""
    before, after = story.talk(), story.talk(4)
    later = [
        msgspec.structs.replace(one, realtime_offset_ns=one.realtime_offset_ns + STEP_NS * (number % 3 - 1))
        for number, one in enumerate(after["beta"])
    ]
    story.put(0, [*before["alpha"], *before["beta"]])
    for minute in range(10):
        at_ms = minute * MINUTE_MS
        story.put(at_ms, after["alpha"][minute : minute + 1] if minute < 8 else [])
        story.beat_of(at_ms, "alpha")
        story.beat_of(at_ms, "beta", age_ms=at_ms, step_ns=STEP_NS * (minute % 3 - 1))
        story.pass_time(at_ms + MINUTE_MS // 2)
        if minute in {3, 9}:
            story.consume()
    assert unmatched(story.folder / "lake") == Counter()
    story.put(10 * MINUTE_MS, later)
    story.beat_of(10 * MINUTE_MS, "beta", step_ns=STEP_NS)
    story.pass_time(12 * MINUTE_MS)
    story.consume()
    assert unmatched(story.folder / "lake") == Counter()
    assert sum(matches(story.folder / "lake").values()) == story.fleet.sends
    delivery = {row["delivery_ns"] for row in read_kind(story.folder / "lake", "match").to_pylist()}
    assert max(delivery) < 1_000_000_000
    faults.tell(
        "one host's events 10 minutes late, its clock stepping by 1 h to and fro",
        events=story.fleet.events,
        stored=stored(story),
    )


def test_without_its_heartbeats_they_do_not_wait(story: Story) -> None:
    """The control: the same story without what the late host says ends in unmatched events."""
    before, after = story.talk(), story.talk()
    story.put(0, [*before["alpha"], *before["beta"], *after["alpha"]])
    story.pass_time(2 * MINUTE_MS)
    story.consume()
    assert unmatched(story.folder / "lake").total() > 0


def test_a_heartbeat_that_overtook_the_data_is_not_believed_yet(story: Story) -> None:
    """It says that all is in Kafka; the partition has not read it: what waits still waits."""
    before, after = story.talk(), story.talk()
    story.put(0, [*before["alpha"], *before["beta"], *after["alpha"]])
    story.beat_of(1_000, "beta", age_ms=1_000)
    story.pass_time(20_000)
    story.consume()
    there = {one.shard: one.sequence for one in after["beta"]}
    story.pass_time(2 * MINUTE_MS)
    story.beat_of(2 * MINUTE_MS + 6_000, "beta", acknowledged=there)
    story.consume()
    assert unmatched(story.folder / "lake") == Counter()
    story.put(2 * MINUTE_MS + 7_000, after["beta"])
    story.pass_time(4 * MINUTE_MS)
    story.consume()
    assert unmatched(story.folder / "lake") == Counter()
    assert sum(matches(story.folder / "lake").values()) == story.fleet.sends


def test_a_quiet_host_keeps_nobody_waiting(story: Story) -> None:
    """Its heartbeats go on and nothing is undelivered: what finds nothing there closes at the horizon."""
    before, after = story.talk(), story.talk()
    story.put(0, [*before["alpha"], *before["beta"], *after["alpha"]])
    for at_ms in range(0, 2 * MINUTE_MS, 10_000):
        story.beat_of(at_ms, "beta")
    story.pass_time(100_000)
    story.consume()
    found = unmatched(story.folder / "lake")
    assert set(found) == {"unknown"}


def test_a_dead_host_is_waited_for_as_long_as_it_may_be_silent(story: Story) -> None:
    """After three minutes nothing is called unmatched, after seven all of it, since its peer is lost."""
    before, after = story.talk(), story.talk()
    story.put(0, [*before["alpha"], *before["beta"], *after["alpha"]])
    story.beat_of(0, "beta")
    for minute, lost in ((3, False), (7, True)):
        story.beat_of(minute * MINUTE_MS, "alpha")
        story.pass_time(minute * MINUTE_MS)
        story.consume()
        assert set(unmatched(story.folder / "lake")) == ({"peer_lost"} if lost else set())


@pytest.fixture(scope="module")
def replayed(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """One host was silent for three hours and then delivered its spool; nothing of it was looked at yet."""
    story = Story(kafka, Topics(kafka), tmp_path_factory.mktemp("replayed"))
    before, after = story.talk(), story.talk(3)
    story.delivered |= {"gamma": {}, "delta": {}}
    asked, answered = asked_and_answered(story)
    both = [*before["alpha"], *before["beta"], *addresses(story)]
    story.put(0, both)
    story.beat_of(0, "beta")
    story.put(1_000, [*after["alpha"], *asked])
    for minute in (3, 10):
        story.pass_time(minute * MINUTE_MS)
        story.beat_of(minute * MINUTE_MS, "alpha")
        story.consume()
    assert unmatched(story.folder / "lake")["peer_lost"] > 0
    story.put(3 * HOUR_MS, [*after["beta"], *answered])
    story.beat_of(3 * HOUR_MS, "beta")
    for minute in (2, 4):
        story.beat_of(3 * HOUR_MS + minute * MINUTE_MS, "beta")
        story.pass_time(3 * HOUR_MS + minute * MINUTE_MS)
        story.consume()

    calm = story.undisturbed(story.folder / "calm")
    calm.delivered |= {"gamma": {}, "delta": {}}
    calm.put(0, both)
    calm.put(1_000, [*after["alpha"], *asked, *after["beta"], *answered])
    for minute in (2, 4):
        calm.pass_time(minute * MINUTE_MS)
    calm.consume()
    return story


def told(lake: Path) -> tuple[object, ...]:
    """What a lake says."""
    told_of = sums(of_two_hosts(read_kind(lake, "histogram"), ("gamma", "delta")))
    return matches(lake), told_of, unmatched(lake), words(lake, "gamma", "delta")


def answered(lake: Path) -> list[tuple[object, ...]]:
    """What it answers."""
    return [
        (one.group, one.kind, one.n, one.seen, one.min_ns, one.max_ns, one.mean_ns)
        for one in latency(Source(str(lake)), Span(0, 2**63 - 1)).figures
        if one.kind not in MEASURES
    ]


def test_a_spool_that_is_delivered_hours_later_is_matched_by_a_look(
    replayed: Story, faults: Faults, tmp_path: Path
) -> None:
    """Rows, latencies and counts are those of a run that nothing disturbed; a second look finds nothing."""
    lake, calm = tmp_path / "lake", replayed.folder / "calm" / "lake"
    shutil.copytree(replayed.folder / "lake", lake)
    assert told(lake) != told(calm)
    looks = Rematch(Late.open(str(lake)), WINDOW_NS)
    assert words(lake, "gamma", "delta") == Counter({"gamma client": 60, "delta server": 60})
    look = looks.once()
    assert (look.matches > 0, look.exchanges >= 60) == (True, True)
    assert told(lake) == told(calm)
    (network,) = latency(Source(str(lake)), Span(0, 2**63 - 1), kinds="network").figures
    assert (network.n, network.seen) == (60, 60)
    assert answered(lake) == answered(calm)
    assert looks.once().matches == looks.once().files == 0
    assert told(lake) == told(calm)
    faults.tell(
        "one host's spool delivered 3 h later, looked at again",
        events=replayed.fleet.events,
        stored=stored(replayed),
    )


class Runner:
    """Looks at lakes in processes of their own (support/rematch_runner.py), one at a time."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.rematch_runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        )

    def start(self, lake: Path, point: str = "", how: str = "kill", **more: str) -> int:
        """Begin a look and return its process id; with ``bootstrap`` and ``topic`` it publishes."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"lake": str(lake), "point": point, "how": how, **more}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> int:
        """Return the next number that is told."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@pytest.fixture
def runner() -> Iterator[Callable[[], Runner]]:
    made: list[Runner] = []

    def make() -> Runner:
        made.append(Runner())
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.communicate()


def test_looks_that_are_killed_or_meet_another_correct_once(
    replayed: Story, faults: Faults, runner: Callable[[], Runner], tmp_path: Path, topics: Topics
) -> None:
    """SIGKILL at each point of the commit, and two that look at once: the lake is corrected once.

    What it was corrected by is published, each part at least once.
    """
    first, second = runner(), runner()
    calm = told(replayed.folder / "calm" / "lake")
    times = faults.times(50, 7)
    for number in range(times):
        lake = tmp_path / f"killed-{number}"
        shutil.copytree(replayed.folder / "lake", lake)
        kafka = {"bootstrap": replayed.bootstrap, "topic": topics("late", 1)}
        first.start(lake, TRACE_POINTS[number % len(TRACE_POINTS)], **kafka)
        assert first.answer() == -signal.SIGKILL
        first.start(lake, **kafka)
        assert first.answer() == 0
        assert told(lake) == calm
        assert published(replayed, kafka["topic"]) == late_parts(lake)
    for point in ("after-parquet", "after-check"):
        lake = tmp_path / f"met-{point}"
        shutil.copytree(replayed.folder / "lake", lake)
        kafka = {"bootstrap": replayed.bootstrap, "topic": topics("late", 1)}
        pid = first.start(lake, point, "halt", **kafka)
        wait_for(lambda pid=pid: halted(pid))  # type: ignore[misc]
        second.start(lake, **kafka)
        assert second.answer() == 0
        os.kill(pid, signal.SIGCONT)
        assert first.answer() == 1
        assert told(lake) == calm
        assert published(replayed, kafka["topic"]) == late_parts(lake)
    faults.tell(
        "rematch killed (SIGKILL) at each point of its commit, and two at once",
        events=replayed.fleet.events,
        stored=stored(replayed),
        times=times + 2,
    )
