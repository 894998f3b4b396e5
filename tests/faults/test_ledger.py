# SPDX-License-Identifier: Apache-2.0
"""The ledger through what breaks hosts: clocks that step, spools that overflow runs later, hosts that die.

CLOCK_REALTIME is the machine's, no namespace has one of its own: hosts with wrong clocks are made-up batches
and heartbeats, through the real broker and the real consumer.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.about import about
from agent.control import heartbeat as agent_heartbeat
from agent.delivery.choose import delivery_of
from agent.delivery.outstanding import Ticket
from agent.delivery.spooled import SpooledDelivery
from agent.ledger import ATTEMPTED, Ledger
from agent.pack import Clock, Identity
from agent.settings import AgentSettings
from agent.spool.record import Run
from agent.spool.settings import SpoolSection
from common.kafka import KafkaSettings
from common.units import ByteSize, Duration
from consumer.engine import control as engine_control
from consumer.engine import events as engine_events
from history.balance import balance
from history.hosts import HostRow, hosts
from history.source import Source
from history.span import Span
from schemas import batch, control
from schemas.batch import EventBatch
from schemas.control import Heartbeat, Total
from support.agents import heartbeats, total, until
from support.batches import Fleet
from support.consumer import World
from support.faults import Faults
from support.netns import VethPair, hosts_of
from support.topics import Topics
from support.traffic import echo
from support.whole_way import SHARDS, AgentProcess, Names, consume

HOUR_NS, MINUTE_NS = 3600 * 10**9, 60 * 10**9
NOWHERE = "127.0.0.1:1"
PATIENCE_SECONDS = 60.0


@pytest.fixture
def world(kafka: str, topics: Topics, tmp_path: Path) -> World:
    return World(kafka, topics, tmp_path, shards=2)


def fleet(shards: int, **more: Any) -> Fleet:
    """Return hosts whose clocks say what the machine's does."""
    return Fleet(shards=shards, realtime_offset_ns=time.time_ns() - 1_000_000_000_000, **more)


def around(hours: int = 0) -> Span:
    """Return all the time that tests are about: some minutes, or hours back, up to minutes from now."""
    now = time.time_ns()
    return Span(now - 10 * MINUTE_NS - hours * HOUR_NS, now + 10 * MINUTE_NS)


def lines(world: World, span: Span, by: str = "host") -> list[dict[str, Any]]:
    return balance(Source(str(world.folder / "lake")), span, by=by)


def standing(lake: Path, host: str) -> HostRow:
    (found,) = hosts(Source(str(lake)), around(), host=host).rows
    return found


def beat(epoch: int, sequence: int, sent_at_ns: int, attempted: int, lost: int, **more: Any) -> Heartbeat:
    """Return what alpha says of itself."""
    totals = (Total("kernel", "attempted", attempted + lost), Total("perf-buffer", "full", lost))
    return Heartbeat(1, "alpha", "boot-1", epoch, sequence, sent_at_ns, 0, 0, {}, totals, **more)


def stepping(world: World, hours: int) -> int:
    """Take half a minute's events of alpha, whose clock is set in between, to the lake; returns how many."""
    made, events = fleet(2), 0
    epoch = made.realtime_offset_ns + made.start_ns
    for round_ in range(6):
        step = hours * HOUR_NS if round_ >= 3 else 0
        for shard, value in made.talk(5):
            one = batch.decode(value)
            if one.host == "alpha":
                events += one.events
                world.send([(shard, batch.encode(stepped(one, epoch, step)))])
        now, last = time.time_ns() + step, round_ == 5
        world.beat(b"alpha", control.encode(beat(epoch, round_, now, events, 7 * (round_ + 1), final=last)))
    world.consume()
    return events


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_steps_leaves_the_ledger_balanced(world: World, faults: Faults, hours: int) -> None:
    """Rows of a clock that is ahead are dated by the broker, those of one behind by itself; both are told."""
    events = stepping(world, hours)
    (row,) = lines(world, around(hours=2))
    assert (row["attempted"], row["stored"], row["lost"]) == (events + 42, events, 42)
    assert (row["unaccounted"], row["in_flight"], row["ahead"]) == (0, 0, 0)
    dated = [one["at_ns"] for one in ledger_rows(world)]
    assert max(dated) <= time.time_ns() + 6 * MINUTE_NS
    assert (min(dated) < time.time_ns() - 50 * MINUTE_NS) == (hours < 0)
    by_minute = lines(world, around(hours=2), by="minute")
    for name in ("attempted", "stored", "lost"):
        assert sum(one[name] for one in by_minute) == row[name]
    clock_ns = standing(world.folder / "lake", "alpha").clock_ns
    assert clock_ns is not None
    assert round(clock_ns / HOUR_NS, 1) == hours
    what, lost = f"agent's clock stepped {hours:+d} h", {"perf-buffer/full": row["lost"]}
    faults.tell(what, events=row["attempted"], stored=row["stored"], lost=lost)


def test_without_the_brokers_time_events_are_missing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check away: what a clock that is ahead counts is in the future, where nobody looks."""
    for module in (engine_control, engine_events):
        monkeypatch.setattr(module, "told_ns", lambda host_ns, _: host_ns)
    events = stepping(world, 1)
    (row,) = lines(world, around(hours=2))
    assert 0 < row["stored"] < events


def stepped(one: EventBatch, epoch: int, step: int) -> EventBatch:
    """Return a batch of the same run whose host's clock was set."""
    return msgspec.structs.replace(one, epoch=epoch, realtime_offset_ns=one.realtime_offset_ns + step)


def ledger_rows(world: World) -> list[dict[str, Any]]:
    with Source(str(world.folder / "lake")).engine({"ledger": None}) as engine:
        return engine.rows("SELECT * FROM ledger")


class Agent:
    """One run of an agent without a kernel: it sends batches that it is given through the real delivery."""

    def __init__(self, world: World, folder: Path, bootstrap: str, epoch: int, max_bytes: int) -> None:
        self.world = world
        self.identity = Identity("alpha", "boot-1", epoch, world.shards)
        section = SpoolSection(
            path=str(folder),
            after=Duration(0.2),
            max_disk_share=1.0,
            max_bytes=ByteSize(max_bytes),
            file_bytes=ByteSize(2**16),
            drain=ByteSize(2**26),
        )
        quick = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200}
        kafka = KafkaSettings(
            bootstrap_servers=bootstrap, events_topic=world.events, shards=world.shards, options=quick
        )
        self.ledger = Ledger()
        offset_ns = time.time_ns() - time.monotonic_ns()
        made = delivery_of(kafka, section, self.ledger, Run(*self.identity), offset_ns)
        assert isinstance(made, SpooledDelivery)
        self.delivery = made
        self.delivery.begin()

    def send(self, values: Iterator[EventBatch]) -> None:
        """Send batches under this run's name, numbered anew."""
        numbers: dict[int, tuple[int, int]] = {}
        for one in values:
            sequence, before = numbers.get(one.shard, (0, 0))
            numbers[one.shard] = sequence + 1, before + one.events
            named = {"epoch": self.identity.epoch, "sequence": sequence, "cumulative": before}
            value = batch.encode(msgspec.structs.replace(one, **named))
            self.ledger.add(*ATTEMPTED, one.events)
            ticket = Ticket(one.shard, sequence, one.events, time.monotonic_ns())
            self.delivery.send(value, ticket)
            self.delivery.poll()

    def settle(self, *, delivers: bool) -> None:
        """Poll until all is delivered, or is in the spool."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (self._is_delivered() if delivers else self._is_spooled()):
            assert time.monotonic() < deadline, self.ledger.totals()
            self.delivery.poll()
            time.sleep(0.005)

    def _is_delivered(self) -> bool:
        return not (self.delivery.waiting or len(self.delivery.outstanding))

    def _is_spooled(self) -> bool:
        return self.delivery.waiting > 0 and self.delivery.spool.flush(1)

    def end(self) -> None:
        """End in good order, with a heartbeat that reaches Kafka on another way."""
        self.delivery.close(0.5, time.monotonic)
        now = time.time_ns()
        clock = Clock(time.monotonic_ns(), now - time.monotonic_ns())
        out = self.delivery.outstanding
        last = agent_heartbeat(self.identity, 1, clock, self.ledger, out, agent="1", final=True)
        told = about(AgentSettings()).on(
            last, backend="raw", spool=self.delivery.standing, now_ns=now, left=self.delivery.left
        )
        self.world.beat(b"alpha", control.encode(told))
        self.delivery.end()


def three_runs(world: World, most: int) -> list[Agent]:
    """Kafka is away for two runs, the second has ``most`` bytes of disk; the third delivers what is left."""
    made = fleet(2, connections=12)
    world.send(made.talk(1))  # so that the lake knows these partitions from before all three runs
    runs = []
    for bootstrap, rounds, quota in ((NOWHERE, 40, 2**26), (NOWHERE, 3, most), (world.bootstrap, 1, 2**26)):
        run = Agent(world, world.folder / "spool", bootstrap, time.time_ns(), quota)
        run.send(one for _ in range(rounds) for one in of_alpha(made))
        run.settle(delivers=bootstrap != NOWHERE)
        run.end()
        runs.append(run)
    world.consume()
    return runs


@pytest.mark.parametrize("most", [2**19, 2**18], ids=["some", "all"])
def test_what_a_later_run_drops_of_the_spool_is_told_of_the_run_that_packed_it(
    world: World, faults: Faults, most: int
) -> None:
    """With its reason, once: where later records of the run came, the consumer saw a gap as well."""
    first, second, third = three_runs(world, most)
    dropped, own = sum(second.delivery.left.values()), second.ledger.lost()
    assert 0 < dropped <= first.ledger.total(*ATTEMPTED)
    assert {run.epoch for run, _ in second.delivery.left} == {first.identity.epoch}
    row = next(one for one in lines(world, around()) if one["host"] == "alpha")
    attempted = sum(run.ledger.total(*ATTEMPTED) for run in (first, second, third))
    seen = sum(one["events"] for one in ledger_rows(world) if one["stage"] == "left-in-spool")
    assert (seen, third.ledger.lost()) == (dropped, 0)
    # alpha's first batches are of a run that never said a word: they are stored, and told of by nobody
    stored = row["stored"] - row["ahead"]
    assert (row["attempted"], row["lost"], row["unaccounted"]) == (attempted, dropped + own, 0)
    what = f"spool of an earlier run over a quota of {most // 1024} KiB"
    faults.tell(
        what, events=attempted, stored=stored, lost={"left-in-spool/quota": dropped, "spool/quota": own}
    )


def test_untold_it_would_be_unaccounted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The word of the later run away: nothing says what became of them, and the balance shows it."""
    monkeypatch.setattr("agent.about.MAX_LEFT", 0)
    _, second, _ = three_runs(world, 2**18)
    row = next(one for one in lines(world, around()) if one["host"] == "alpha")
    assert row["unaccounted"] == sum(second.delivery.left.values()) > 0


def of_alpha(made: Fleet) -> Iterator[EventBatch]:
    return (one for _, value in made.talk(20) if (one := batch.decode(value)).host == "alpha")


@pytest.mark.kernel
def test_a_quiet_host_is_not_silent_and_a_dead_one_is(kafka: str, tmp_path: Path, faults: Faults) -> None:
    """Half a minute of the broker's time after its last word, and no sooner; what it took with it is told."""
    topics = Topics(kafka)
    control_topic = topics("control", 2, message_timestamp_type="CreateTime")
    names = Names(kafka, topics("events", SHARDS), control_topic, topics("latency"), topics("poison"))
    world = World(kafka, topics, tmp_path, shards=SHARDS)
    world.control = control_topic
    with VethPair() as network:
        own = ("agent.heartbeat=100ms", "batch.max-age=100ms")
        with AgentProcess(names, hosts_of(network), *own) as agent:
            echo(network, 20, 100)
            last = until(names, lambda one: total(one, "kafka", "delivered") >= 120)
            quiet = until(names, lambda one: one.sequence >= last.sequence + 5)
            assert total(quiet, "kernel", "attempted") == total(last, "kernel", "attempted")
            consume(names, tmp_path / "lake")
            assert standing(tmp_path / "lake", last.host).state == "tracing"
            agent.kill()
    newest = heartbeats(names)[-1]
    other = {"host": "other", "boot": "o", "totals": ()}
    for after_ms, state in ((29_000, "tracing"), (45_000, "silent")):
        at_ms = newest.sent_at_ns // 1_000_000 + after_ms
        value = control.encode(msgspec.structs.replace(newest, **other, sequence=after_ms))
        world.beat_at(b"other", value, at_ms)
        consume(names, tmp_path / "lake")
        now = standing(tmp_path / "lake", newest.host)
        assert (now.state, now.kernel, now.backend) == (state, newest.kernel, newest.backend)
        assert standing(tmp_path / "lake", "other").state == "tracing"
    row = next(one for one in lines(world, around()) if one["host"] == newest.host)
    assert (row["attempted"], row["unaccounted"], row["ahead"]) == (
        total(newest, "kernel", "attempted"),
        0,
        0,
    )
    faults.tell("quiet host killed (SIGKILL)", events=row["attempted"], stored=row["stored"])
