# SPDX-License-Identifier: Apache-2.0
"""The partition of ``wirelag.control.v1``: heartbeats in, ledger rows out, each a difference of totals.

The rows of one (host, boot, epoch, stage, reason) add up to the last total heard. A heartbeat that is not
younger (by sequence) than the one before it of its epoch says nothing new and gives no row. Ticks are those
of the events' engine: the rows do not depend on how the records are cut into calls.

Where a run begins after the last words of an earlier one of its host, and those were no good-bye, what the
earlier one saw since is in no count: a row ``agent``/``unreported`` of 0 events at its last words says so. It
means nothing where that run speaks again, as two agents on one host do.
"""

from collections.abc import Sequence
from typing import Self

import msgspec
import pyarrow as pa

from consumer.engine import rows
from consumer.engine.arrow import Place
from consumer.engine.ledger import Count, clip, counted
from consumer.engine.records import Output, Poison, Record, combine
from consumer.engine.settings import EngineSettings, SnapshotError, check_fits, seal, unseal
from schemas.control import Heartbeat, decode
from schemas.errors import RecordError

VERSION = 1
MAX_RUNS = 16_384
"""Runs remembered, those heard last. With more agents than this at once, totals would be counted anew."""


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


class _State(msgspec.Struct, array_like=True, tag="wirelag.control.state"):
    version: int
    topic_partition: int
    broker_ms: int | None = None
    last_tick: int | None = None
    poison: int = 0
    runs: list[tuple[str, str, int, _Run]] = []


class ControlEngine:
    """State machine of the control partition. Not safe for use by several threads."""

    def __init__(self, topic_partition: int, settings: EngineSettings) -> None:
        self.topic_partition = topic_partition
        self.settings = settings
        self._state = _State(VERSION, topic_partition)
        self._runs: dict[tuple[str, str, int], _Run] = {}
        self._changed: dict[tuple[str, str, int], None] = {}

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
            key: None for key, run in engine._runs.items() if run.totals != run.given or run.unreported
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
                ticks.append(self._tick())
            self._take(heartbeat, record.timestamp_ms)
        return Output(combine(ticks), poison)

    def flush(self) -> Output:
        """Give the rows of all that was heard, now."""
        return Output() if self._state.broker_ms is None else Output(self._tick())

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
        run.final, run.unreported = heartbeat.final, False
        for total in heartbeat.totals:
            run.totals[f"{total.stage}\0{total.reason}"] = clip(total.events)
        self._changed[key] = None

    def _note_unended(self, new: tuple[str, str, int]) -> None:
        """Mark the runs of a host that ended without a good-bye before this one began."""
        host, _, epoch = new
        for key, run in self._runs.items():
            if key[0] == host and key[2] < epoch and run.at_ns <= epoch and not run.final:
                run.final, run.unreported = True, True
                self._changed[key] = None

    def _tick(self) -> dict[str, pa.Table]:
        state = self._state
        assert state.broker_ms is not None  # noqa: S101 - a record was taken
        changed = [(key, run) for key, run in self._runs.items() if key in self._changed]
        counts = [count for key, run in changed for count in _differences(key, run)]
        self._changed = {}
        if state.poison:
            counts.append(
                counted(("", "", 0, "consumer", "poison"), state.broker_ms * 1_000_000, state.poison)
            )
            state.poison = 0
        while len(self._runs) > MAX_RUNS:
            del self._runs[next(iter(self._runs))]
        if not counts:
            return {}
        number = state.broker_ms // self.settings.tick_ms
        state.last_tick = number if state.last_tick is None else max(number, state.last_tick + 1)
        return {"ledger": rows.ledger(Place(self.topic_partition, state.last_tick, state.broker_ms), counts)}


def _differences(key: tuple[str, str, int], run: _Run) -> list[Count]:
    """Return a row for each total that changed since rows were given."""
    found = []
    for name, events in run.totals.items():
        change = events - run.given.get(name, 0)
        if change:
            stage, _, reason = name.partition("\0")
            found.append(counted((*key, stage, reason), run.at_ns, change))
    if run.unreported:
        found.append(counted((*key, "agent", "unreported"), run.at_ns, 0))
        run.unreported = False
    run.given = dict(run.totals)
    return found
