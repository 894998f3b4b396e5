# SPDX-License-Identifier: Apache-2.0
"""The partition of ``wirelag.control.v1``: heartbeats in, rows of the ledger, of agents and of clocks out.

The ledger's are differences: those of one (host, boot, epoch, stage, reason) add up to the last total heard.
A heartbeat that is not younger (by sequence) than the one before it of its epoch says nothing new and gives
no row. Ticks are those of the events' engine: the rows do not depend on how the records are cut into calls.

Where a run begins after the last words of an earlier one of its host, and those were no good-bye, what the
earlier one saw since is in no count: a row ``agent``/``unreported`` of 0 events at its last words says so. It
means nothing where that run speaks again, as two agents on one host do.

An agent may lie: each run has at most ``MAX_SERIES`` totals, the rest of what it names is one loss
(``agent``/``other``), and each host at most ``MAX_RUNS_OF_HOST`` runs.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Self

import msgspec
import pyarrow as pa

from consumer.engine import readings, rows
from consumer.engine.arrow import Place, broker_ns
from consumer.engine.ledger import Count, clip, counted, told_ns
from consumer.engine.records import Output, Poison, Record, combine
from consumer.engine.settings import EngineSettings, SnapshotError, check_fits, seal, unseal
from consumer.engine.standing import Heard, standing_of
from schemas.control import Heartbeat, decode
from schemas.errors import RecordError

VERSION = 1
MAX_RUNS = 16_384
"""Runs remembered, those heard last. With more agents than this at once, totals would be counted anew."""
MAX_RUNS_OF_HOST = 256
MAX_SERIES = 256
LEFT_STAGE = "left-in-spool"
"""Of what a later run lost of a run's records: the row is of the run that packed them."""
OTHER = "agent\0other"
Key = tuple[str, str, int]
"""Host, boot, epoch of a run."""


class _Run(msgspec.Struct, array_like=True):
    """What was heard of one agent run."""

    sequence: int
    at_ns: int
    totals: dict[str, int]
    """``stage\\0reason`` -> last total heard."""
    given: dict[str, int]
    """The same, as far as rows were given."""
    final: bool = True
    """It said good-bye. Of what earlier versions saved that is not known, so nothing is said of it."""
    unreported: bool = False
    """It did not, and another run of its host began since; no row says so yet."""
    dated_ns: int = 0
    """When rows of its last words are dated: ``at_ns``, or the broker's time where its clock is wrong."""
    heard: Heard | None = None
    fresh: bool = False
    """It was heard since the last tick."""
    read_ns: int = -1
    """CLOCK_MONOTONIC of the last reading of its clocks."""


class _State(msgspec.Struct, array_like=True, tag="wirelag.control.state"):
    version: int
    topic_partition: int
    broker_ms: int | None = None
    last_tick: int | None = None
    poison: int = 0
    runs: list[tuple[str, str, int, _Run]] = []
    read: list[readings.Reading] = []
    """Readings since the last tick."""


class ControlEngine:
    """State machine of the control partition. Not safe for use by several threads."""

    def __init__(self, topic_partition: int, settings: EngineSettings) -> None:
        self.topic_partition = topic_partition
        self.settings = settings
        self._state = _State(VERSION, topic_partition)
        self._runs: dict[Key, _Run] = {}
        self._changed: dict[Key, None] = {}

    @classmethod
    def restore(cls, blob: bytes, topic_partition: int, settings: EngineSettings) -> Self:
        """Return the engine that ``snapshot`` was taken of; raises SnapshotError where it does not fit."""
        try:
            state = msgspec.msgpack.decode(unseal(blob), type=_State)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise SnapshotError(f"snapshot cannot be read: {error}") from error
        check_fits((state.version, state.topic_partition), (VERSION, topic_partition))
        engine = cls(topic_partition, settings)
        engine._state = state
        engine._runs = {(host, boot, epoch): run for host, boot, epoch, run in state.runs}
        engine._changed = {
            key: None
            for key, run in engine._runs.items()
            if run.totals != run.given or run.unreported or run.fresh
        }
        return engine

    def snapshot(self) -> bytes:
        """Return the state, for ``restore``; it can be taken between any two calls."""
        self._state.runs = [(*key, run) for key, run in self._runs.items()]
        return seal(msgspec.msgpack.encode(self._state))

    def apply(self, records: Sequence[Record]) -> Output:
        """Take records in the order of the partition; returns the rows of the ticks that became complete."""
        ticks: list[dict[str, pa.Table]] = []
        poison: list[Poison] = []
        for record in records:
            try:
                heartbeat = decode(record.value)
            except RecordError as error:
                poison.append(Poison(record.kafka_offset, error.reason, str(error), record.value))
                self._state.poison += 1
                continue
            if self._due(record.timestamp_ms):
                ticks.append(self._tick(final=False))
            self._take(heartbeat, record.timestamp_ms)
        return Output(combine(ticks), poison)

    def flush(self) -> Output:
        """Give the rows of all that was heard, now."""
        return Output() if self._state.broker_ms is None else Output(self._tick(final=True))

    def _due(self, timestamp_ms: int) -> bool:
        before = self._state.broker_ms
        return before is not None and timestamp_ms // self.settings.tick_ms > before // self.settings.tick_ms

    def _take(self, heartbeat: Heartbeat, timestamp_ms: int) -> None:
        before = self._state.broker_ms
        self._state.broker_ms = timestamp_ms if before is None else max(before, timestamp_ms)
        key = (heartbeat.host, heartbeat.boot, clip(heartbeat.epoch))
        run = self._runs.pop(key, None)
        if run is None:
            run = _Run(-1, 0, {}, {}, final=False)
            self._note_unended(key)
        self._runs[key] = run
        if heartbeat.sequence <= run.sequence:
            return
        run.sequence, run.at_ns = clip(heartbeat.sequence), clip(heartbeat.sent_at_ns)
        run.dated_ns = told_ns(run.at_ns, broker_ns(self._state.broker_ms))
        run.final, run.unreported, run.fresh = heartbeat.final, False, True
        now = standing_of(heartbeat)
        if run.heard is None:
            run.heard = Heard(now, run.at_ns, self._state.broker_ms)
        run.heard.now, run.heard.at_ns, run.heard.heard_ms = now, run.at_ns, self._state.broker_ms
        _learn(run, heartbeat)
        if read := readings.news(heartbeat, run.read_ns):
            run.read_ns = read[-1].monotonic_ns
            self._state.read += read
        self._changed[key] = None

    def _note_unended(self, new: Key) -> None:
        """Mark the runs of a host that ended without a good-bye before this one began."""
        host, _, epoch = new
        for key, run in self._runs.items():
            if key[0] == host and key[2] < epoch and run.at_ns <= epoch and not run.final:
                run.final, run.unreported = True, True
                self._changed[key] = None

    def _tick(self, *, final: bool) -> dict[str, pa.Table]:
        state = self._state
        assert state.broker_ms is not None  # noqa: S101 - a record was taken
        changed = [(key, run) for key, run in self._runs.items() if key in self._changed]
        counts = [count for key, run in changed for count in _differences(key, run)]
        self._changed = {}
        heard = self._runs.items() if final else changed
        told = [row for key, run in heard for row in _standing(key, run, final=final)]
        if state.poison:
            counts.append(
                counted(("", "", 0, "consumer", "poison"), state.broker_ms * 1_000_000, state.poison)
            )
            state.poison = 0
        self._forget()
        read, state.read = state.read, []
        if not (counts or told or read):
            return {}
        number = state.broker_ms // self.settings.tick_ms
        state.last_tick = number if state.last_tick is None else max(number, state.last_tick + 1)
        place = Place(self.topic_partition, state.last_tick, state.broker_ms)
        found = {"ledger": rows.ledger(place, counts)} if counts else {}
        found |= {"reading": readings.rows(place, read)} if read else {}
        return found | ({"agent": rows.agents(place, told)} if told else {})

    def _forget(self) -> None:
        """Keep the runs heard last, of each host and of all."""
        if len(self._runs) > MAX_RUNS_OF_HOST:
            many = Counter(key[0] for key in self._runs)
            for key in [key for key in self._runs if many[key[0]] > MAX_RUNS_OF_HOST]:
                if many[key[0]] > MAX_RUNS_OF_HOST:
                    many[key[0]] -= 1
                    del self._runs[key]
        while len(self._runs) > MAX_RUNS:
            del self._runs[next(iter(self._runs))]


def _learn(run: _Run, heartbeat: Heartbeat) -> None:
    """Take the totals of a heartbeat, those beyond ``MAX_SERIES`` as one."""
    rest = 0
    for name, events in _named(heartbeat):
        if name in run.totals or len(run.totals) < MAX_SERIES:
            run.totals[name] = clip(events)
        else:
            rest += events
    if rest:
        run.totals[OTHER] = max(run.totals.get(OTHER, 0), clip(rest))


def _named(heartbeat: Heartbeat) -> Iterator[tuple[str, int]]:
    for total in heartbeat.totals:
        yield f"{_bare(total.stage)}\0{_bare(total.reason)}", total.events
    for left in heartbeat.left:
        yield f"{LEFT_STAGE}\0{_bare(left.reason)}\0{_bare(left.boot)}\0{clip(left.epoch)}", left.events


def _bare(text: str) -> str:
    return text.replace("\0", "")


def _standing(key: Key, run: _Run, *, final: bool) -> list[dict[str, Any]]:
    """Return the row that tells how a run stands, where one is due, or ``final`` and there is news."""
    fresh, run.fresh = run.fresh, False
    if run.heard is None or not (run.heard.untold if final else fresh and run.heard.due):
        return []
    return [run.heard.row(key)]


def _differences(key: Key, run: _Run) -> list[Count]:
    """Return a row for each total that changed since rows were given."""
    found = []
    for name, events in run.totals.items():
        change = events - run.given.get(name, 0)
        if change:
            stage, reason, *other = name.split("\0")
            of = (key[0], other[0], int(other[1])) if other else key
            found.append(counted((*of, stage, reason), run.dated_ns or run.at_ns, change))
    if run.unreported:
        found.append(counted((*key, "agent", "unreported"), run.dated_ns or run.at_ns, 0))
        run.unreported = False
    run.given = dict(run.totals)
    return found
