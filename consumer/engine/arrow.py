# SPDX-License-Identifier: Apache-2.0
"""Columns to Arrow: numbers without a copy, texts as dictionaries built once for each link, not each row."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from common.units import HOUR_NS
from consumer.engine.ledger import clip
from consumer.latency.intervals import I64, Bools
from schemas.tables import KINDS

_EARLIEST_NS = 7 * 24 * HOUR_NS
_LATEST_NS = HOUR_NS
_MILLISECOND_NS = 1_000_000
_CODED = pa.dictionary(pa.int32(), pa.string())


class Place(NamedTuple):
    """Where and when rows come from."""

    topic_partition: int
    tick: int
    broker_ms: int


def broker_ns(broker_ms: int) -> int:
    """Return the broker's time in ns."""
    return clip(broker_ms * _MILLISECOND_NS)


def hour_index(time_ns: I64, broker_ms: int) -> I64:
    """Return the UTC hour of (n,) event times; the broker's where one is not in [broker - 7 d, + 1 h]."""
    now = broker_ns(broker_ms)
    bad = (time_ns < clip(now - _EARLIEST_NS)) | (time_ns > clip(now + _LATEST_NS))
    hours: I64 = np.where(bad, now // HOUR_NS, time_ns // HOUR_NS)
    return hours


class Spread:
    """Turns values of links into columns of rows; ``index`` (n,) is the link of each row."""

    def __init__(self, index: I64) -> None:
        self._index = index

    def texts(self, values: Sequence[str | None]) -> pa.DictionaryArray:
        """Return the text of each row."""
        coded = pa.array(values, pa.string()).dictionary_encode()
        if coded.null_count:
            return coded.take(pa.array(self._index))
        codes = coded.indices.to_numpy()[self._index]
        return pa.DictionaryArray.from_arrays(pa.array(codes), coded.dictionary, safe=False)

    def numbers(self, values: Sequence[int], dtype: type[np.integer[Any]]) -> Any:  # noqa: ANN401 - any width
        """Return the number of each row, (n,)."""
        return np.array(values, dtype=dtype)[self._index]

    def chances(self, values: Sequence[float]) -> pa.Array | None:
        """Return the chance of each row, null for 1; None where all are."""
        if all(value >= 1 for value in values):
            return None
        known = np.array(values, dtype=np.float64)[self._index]
        return pa.array(known, mask=known >= 1)


def nullable(values: I64, known: Bools) -> pa.Array:
    """Return numbers, null where they are not known."""
    return pa.array(values) if known.all() else pa.array(values, mask=~known)


def table(kind: str, place: Place, time_ns: I64, columns: Mapping[str, Any]) -> pa.Table:
    """Return the rows of a kind; ``time_ns`` (n,) are their event times, a column given as None is null.

    Null texts are dictionaries as others are, so that tables of several ticks can be joined as they are.
    """
    size = time_ns.size
    known: dict[str, Any] = {
        "topic_partition": np.full(size, place.topic_partition, dtype=np.int32),
        "tick": np.full(size, place.tick, dtype=np.int64),
        **columns,
    }
    names = KINDS[kind].names
    arrays = [_array(known[name], KINDS[kind].field(name).type, size) for name in names]
    arrays.append(pa.array(hour_index(time_ns, place.broker_ms)))
    return pa.Table.from_arrays(arrays, names=[*names, "hour_index"])


def _array(values: Any, kind: pa.DataType, size: int) -> pa.Array:  # noqa: ANN401 - what Arrow takes
    if values is None:
        return pa.nulls(size, _CODED if kind == pa.string() else kind)
    return values if isinstance(values, pa.Array) else pa.array(values, kind)
