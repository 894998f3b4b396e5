# SPDX-License-Identifier: Apache-2.0
"""Rows that are alike in some columns, numbered in the order of these columns: texts, numbers, null first."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from consumer.latency.intervals import I64, Index


class Groups(NamedTuple):
    """(n,) rows in (g,) groups."""

    number: I64
    """The group of each row."""
    order: Index
    """Rows by group; those of one group as they came."""
    starts: Index
    """Where each group begins in ``order``."""

    @property
    def size(self) -> int:
        """How many groups there are."""
        return int(self.starts.size)

    @property
    def first(self) -> Index:
        """Return the first row of each group."""
        return self.order[self.starts]


def grouped(columns: Sequence[pa.ChunkedArray | pa.Array | NDArray[Any]]) -> Groups:
    """Group rows by columns of equal length: numbers, or texts, plain or as dictionaries, null allowed."""
    number: I64 = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        ranks = _ranks(column)
        distinct, rank = np.unique(ranks, return_inverse=True)
        if distinct.size > 1:
            number = number * distinct.size + rank.astype(np.int64)
            _, number = np.unique(number, return_inverse=True)
    number = number.astype(np.int64)
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    return Groups(number, order, starts)


def _ranks(column: Any) -> I64:  # noqa: ANN401 - what `grouped` takes
    """Return numbers that are equal and in order as the values are, null below all."""
    if isinstance(column, np.ndarray):
        return column
    coded = coded_text(column)
    texts = coded.dictionary
    rank = np.empty(len(texts) + 1, dtype=np.int64)
    rank[:-1] = np.asarray(pc.rank(texts, sort_keys="ascending", tiebreaker="dense"))
    rank[-1] = 0
    return rank[_codes(coded)]


def coded_text(column: pa.ChunkedArray | pa.Array) -> pa.DictionaryArray:
    """Return a column of text as one dictionary array."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # no chunk at all
        column = pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.array([], pa.string()))
    return column


def _codes(coded: pa.DictionaryArray) -> I64:
    codes = pc.fill_null(coded.indices, len(coded.dictionary))
    return np.asarray(codes).astype(np.int64)
