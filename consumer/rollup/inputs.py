# SPDX-License-Identifier: Apache-2.0
"""From rows of kinds ``clock`` and ``reading`` to clocks and what was heard between them. Pure.

A clock is a boot: all hosts of one boot id share it. It runs on CLOCK_MONOTONIC_RAW where its host gave
readings all through its messages, else on CLOCK_MONOTONIC, from 0 where its host's CLOCK_REALTIME showed the
window's begin, so that its times are small. Rows that make no sense (no times, lists unlike in length, no
boot) are left out.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from consumer.latency.clock.line import F64, Points
from consumer.latency.clock.scale import Readings, doubt, to_raw
from consumer.latency.clock.wall import Wall
from consumer.latency.intervals import I64

_FARTHEST = 2**61
"""No time is: so differences fit."""
_WIDE = 8
_WIDE_NS = 2_000.0
"""A reading so many times wider than most, and than this, was interrupted."""
_APART_NS = 50_000_000
"""Two agents of one host may read at once; what lies between two readings is worth little then."""
_BEYOND_NS = 2_000_000_000
_BEYOND = 0.02
"""Of readings that more than this share of a host's messages are so far beyond, nothing is made: each second
there leaves 0.6 ms open, where a clock that NTP slews is better known from messages."""
_FASTEST = 2e-3
"""No kernel lets CLOCK_MONOTONIC run off that fast."""


class Clock(NamedTuple):
    """One boot's clock."""

    boot: str
    host: str
    readings: Readings | None
    widest: float
    """How far a reading may be off, ns."""
    base: int
    """What is 0 here: CLOCK_MONOTONIC_RAW with readings, else CLOCK_MONOTONIC."""
    wall: Wall | None
    """What is said of its host's CLOCK_REALTIME."""

    def times(self, monotonic: I64) -> tuple[F64, F64]:
        """Return (n,) times of this clock at times of CLOCK_MONOTONIC, and how far they may be off, ns."""
        if self.readings is None:
            return (monotonic - self.base).astype(np.float64), np.zeros(monotonic.size)
        shown = to_raw(monotonic, self.readings) - self.base
        return shown.astype(np.float64), doubt(monotonic, self.readings) + self.widest

    def monotonic(self, time: F64) -> I64:
        """Return the CLOCK_MONOTONIC at (n,) times of this clock: `times` the other way."""
        raw = np.rint(time).astype(np.int64) + self.base
        if self.readings is None:
            return raw
        known = self.readings.monotonic + self.readings.raw_offset
        return to_raw(raw, Readings(known, -self.readings.raw_offset))


class Heard(NamedTuple):
    """Messages from one clock to another, in the order of sending."""

    sent: F64
    """(n,) on the sender's clock."""
    ahead: F64
    """(n,) the most that the receiver's clock can have been ahead of the sender's: arrival minus sending."""
    arrived: F64
    """(n,) on the receiver's clock."""

    def above(self) -> Points:
        """Return what they say of the receiver's clock minus the sender's, on the sender's."""
        return Points(self.sent, self.ahead)

    def below(self) -> Points:
        """Return what they say of the sender's clock minus the receiver's, on the receiver's."""
        order = np.argsort(self.arrived, kind="stable")
        return Points(self.arrived[order], -self.ahead[order])


class Inputs(NamedTuple):
    """What a window is solved from."""

    clocks: list[Clock]
    """In the order of host and boot."""
    heard: dict[tuple[int, int], Heard]
    """(sender, receiver), by their place among the clocks."""


def read(begin_ns: int, clock: pa.Table, reading: pa.Table) -> Inputs:
    """Return the inputs of a window that begins at ``begin_ns`` (CLOCK_REALTIME)."""
    messages = _messages(clock)
    readings = _readings(reading)
    hosts = messages.hosts | {boot: one.host for boot, one in readings.items()}
    boots = sorted(hosts, key=lambda boot: (hosts[boot], boot))
    number = {boot: place for place, boot in enumerate(boots)}
    codes = np.array([number[boot] for boot in messages.boots], dtype=np.int64)
    senders, receivers = codes[messages.sender], codes[messages.receiver]
    starts = _begins(begin_ns, boots, readings, messages, (senders, receivers))
    stamps = _stamps(messages, senders, receivers)
    clocks = [
        _clock(boot, hosts[boot], (begin_ns, starts[boot]), readings.get(boot), stamps.get(number[boot]))
        for boot in boots
    ]
    return Inputs(clocks, _heard(clocks, messages, senders, receivers))


class _Messages(NamedTuple):
    boots: list[str]
    hosts: dict[str, str]
    sender: I64
    """(n,) places among ``boots``."""
    receiver: I64
    sent: I64
    arrived: I64
    wall: I64
    """(n,) CLOCK_REALTIME minus CLOCK_MONOTONIC of the sender, as the row has it."""


def _messages(clock: pa.Table) -> _Messages:
    names = ("sender_boot", "receiver_boot", "sender_host", "receiver_host", "sent_times", "arrived_times")
    one, other, *_, sent, arrived = (clock[name] for name in names)
    some = pc.greater(pc.list_value_length(sent), 0)
    alike = pc.equal(pc.list_value_length(sent), pc.list_value_length(arrived))
    good = pc.is_valid(clock["at_ns"])
    for condition in (pc.not_equal(one, other), some, alike):
        good = pc.and_(good, condition)
    clock = clock.filter(good)
    columns = [_column(clock, name) for name in names]
    coded = pa.concat_arrays([column.cast(pa.string()) for column in columns[:2]]).dictionary_encode()
    boots = coded.dictionary.to_pylist()
    codes = coded.indices.to_numpy().astype(np.int64)
    named, first = np.unique(codes, return_index=True)
    names_of = pa.concat_arrays([column.cast(pa.string()) for column in columns[2:4]]).take(pa.array(first))
    found = zip(named.tolist(), names_of.to_pylist(), strict=True)
    hosts = {boots[code]: name or "" for code, name in found}
    lengths = pc.list_value_length(columns[4]).to_numpy().astype(np.int64)
    times = [_bounded(pc.list_flatten(column)) for column in columns[4:]]
    rows = np.repeat(np.arange(lengths.size), lengths)
    starts = np.cumsum(lengths) - lengths
    wall = _bounded(clock["at_ns"]) - times[0][starts]
    size = lengths.size
    return _Messages(boots, hosts, codes[:size][rows], codes[size:][rows], times[0], times[1], wall[rows])


def _column(table: pa.Table, name: str) -> pa.Array:
    column = table[name]
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _bounded(values: pa.Array | pa.ChunkedArray) -> I64:
    numbers: I64 = np.asarray(values.fill_null(0), dtype=np.int64)
    return np.clip(numbers, -_FARTHEST, _FARTHEST)


class _Told(NamedTuple):
    """The readings of one boot, in the order of its clock."""

    host: str
    monotonic: I64
    raw_offset: I64
    width: I64
    wall: I64
    error: F64


def _readings(reading: pa.Table) -> dict[str, _Told]:
    reading = reading.filter(pc.is_valid(reading["boot"]))
    if not reading.num_rows:
        return {}
    coded = _column(reading, "boot").cast(pa.string()).dictionary_encode()
    names = ("monotonic_ns", "raw_offset_ns", "width_ns", "realtime_offset_ns")
    now, raw, width, wall = (_bounded(reading[name]) for name in names)
    error = np.abs(np.asarray(reading["error_ns"].cast(pa.float64(), safe=False).fill_null(np.inf)))
    hosts = reading["host"].to_pylist()
    codes = coded.indices.to_numpy()
    found = {}
    for every in _split(codes, np.lexsort((now, codes))):
        rows = every[_useful(now[every], raw[every], width[every])]
        if not rows.size:
            continue
        told = _Told(hosts[rows[0]] or "", now[rows], raw[rows], width[rows], wall[rows], error[rows])
        found[str(coded.dictionary[int(codes[rows[0]])])] = told
    return found


def _useful(now: I64, raw: I64, width: I64) -> list[int]:
    """Return the places of readings that were not disturbed, some time apart; none where they cannot be."""
    tight = np.flatnonzero(width <= max(_WIDE * float(np.median(width)), _WIDE_NS))
    kept: list[int] = []
    for place in tight.tolist():
        if not kept or now[place] - now[kept[-1]] >= _APART_NS:
            kept.append(place)
    pace = np.abs(np.diff(raw[kept]) / np.diff(now[kept])) if kept else np.ones(1)
    return kept if (pace < _FASTEST).all() and (np.abs(raw[kept]) < _FARTHEST).all() else []


def _split(codes: I64, order: I64) -> list[I64]:
    """Return the rows of each code; `order` has those of one together."""
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if order.size else []


def _begins(
    begin_ns: int, boots: list[str], readings: dict[str, _Told], found: _Messages, who: tuple[I64, I64]
) -> dict[str, int]:
    """Return each boot's CLOCK_MONOTONIC where its CLOCK_REALTIME showed the window's begin.

    Of one that neither gave readings nor sent anything: where the others' messages arrived, well enough.
    """
    sent, arrived = (dict(zip(*np.unique(side, return_index=True), strict=True)) for side in who)
    starts: dict[str, int] = {}
    for number, boot in enumerate(boots):
        if (told := readings.get(boot)) is not None:
            middle = int(np.argmin(np.abs(told.monotonic + told.wall - begin_ns)))
            starts[boot] = begin_ns - int(told.wall[middle])
        elif number in sent:
            starts[boot] = begin_ns - int(found.wall[sent[number]])
        else:
            first = arrived[number]
            starts[boot] = int(found.arrived[first]) - int(found.sent[first] + found.wall[first] - begin_ns)
    return starts


def _stamps(found: _Messages, senders: I64, receivers: I64) -> dict[int, I64]:
    """Return the CLOCK_MONOTONIC of all that each clock stamped."""
    who, times = np.concatenate((senders, receivers)), np.concatenate((found.sent, found.arrived))
    return {int(who[rows[0]]): times[rows] for rows in _split(who, np.argsort(who, kind="stable"))}


def _clock(boot: str, host: str, begin: tuple[int, int], told: _Told | None, stamps: I64 | None) -> Clock:
    """Return a clock; `begin` is where the window begins by CLOCK_REALTIME, and by CLOCK_MONOTONIC here."""
    begin_ns, start = begin
    if told is None:
        return Clock(boot, host, None, 0.0, start, None)
    readings, base, offset, widest = None, start, np.zeros_like(told.monotonic), 0.0
    if stamps is None or _throughout(told.monotonic, stamps):
        readings, offset = Readings(told.monotonic, told.raw_offset), told.raw_offset
        base, widest = int(to_raw(np.array([start]), readings)[0]), float(told.width.max()) / 2
    wall = None
    if np.isfinite(told.error).any():
        shown = told.monotonic + offset - base
        ahead = told.monotonic + told.wall - begin_ns - shown
        wall = Wall(shown.astype(np.float64), ahead.astype(np.float64), told.error + told.width)
    return Clock(boot, host, readings, widest, base, wall)


def _throughout(told: I64, stamps: I64) -> bool:
    """Say whether a host gave readings all through what it stamped."""
    beyond = (stamps < told[0] - _BEYOND_NS) | (stamps > told[-1] + _BEYOND_NS)
    return bool(beyond.mean() <= _BEYOND)


def _heard(
    clocks: list[Clock], found: _Messages, senders: I64, receivers: I64
) -> dict[tuple[int, int], Heard]:
    sent, arrived = np.empty(senders.size), np.empty(senders.size)
    off = np.zeros(senders.size)
    for times, shown, who in ((found.sent, sent, senders), (found.arrived, arrived, receivers)):
        for rows in _split(who, np.argsort(who, kind="stable")):
            shown[rows], doubtful = clocks[who[rows[0]]].times(times[rows])
            off[rows] += doubtful
    heard = {}
    pair = senders * len(clocks) + receivers
    for rows in _split(pair, np.lexsort((sent, pair))):
        one, other = int(senders[rows[0]]), int(receivers[rows[0]])
        heard[one, other] = Heard(sent[rows], arrived[rows] - sent[rows] + off[rows], arrived[rows])
    return heard
