# SPDX-License-Identifier: Apache-2.0
"""Dense indices for things known by a 64-bit key; what is long unused is forgotten and its index reused.

Looking up (n,) keys costs a few array operations: a direct-mapped table answers for keys seen before, and
only the distinct ones it does not hold are asked of a dictionary.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

V = TypeVar("V")
UNKNOWN = -1
_SLOTS_BITS = 14
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Registry(Generic[V]):
    """Values by key and by index. An index stays valid until ``forget`` drops its key.

    ``missing`` is asked for the value of a key that was looked up and is not known; None leaves it unknown.
    """

    def __init__(self, missing: Callable[[int], V | None] = lambda _key: None) -> None:
        self._missing = missing
        self._index: dict[int, int] = {}
        self._values: list[V] = []
        self._used = np.zeros(64, dtype=np.int64)
        self._free: list[int] = []
        self._replaced: list[int] = []
        self._slot_key = _nobody()
        self._slot_index = np.full(1 << _SLOTS_BITS, UNKNOWN, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._index)

    def value(self, index: int) -> V:
        """Return the value at an index."""
        return self._values[index]

    def index(self, key: int) -> int:
        """Return the index of a key, or UNKNOWN."""
        return self._index.get(key, UNKNOWN)

    def look_up(self, keys: NDArray[np.uint64], now_ns: int) -> NDArray[np.int64]:
        """Return the index of each of (n,) keys, (n,) int64, UNKNOWN where there is none; marks them used."""
        slots = _slot(keys)
        found = self._slot_index.take(slots)
        other = self._slot_key.take(slots) != keys
        if other.any():
            distinct, inverse = np.unique(keys[other], return_inverse=True)
            indices = np.array([self._find(key, now_ns) for key in distinct.tolist()], dtype=np.int64)
            found[other] = indices[inverse]
            self._remember(distinct[indices != UNKNOWN], indices[indices != UNKNOWN])
            self._used[found[found != UNKNOWN]] = now_ns
        else:
            self._used[found] = now_ns
        return found

    def learn(self, key: int, value: V, now_ns: int, *, amend: bool = False) -> int:
        """Store a value and return its index.

        A key whose value changed gets a new index, so that events held under the old one keep their meaning;
        with ``amend`` it keeps its index, as more is known of the same thing.
        """
        known = self._index.get(key)
        if known is not None:
            if amend or self._values[known] == value:
                self._values[known] = value
                self._used[known] = now_ns
                return known
            self._replaced.append(known)
            self._clear_slots()
        if self._free:
            index = self._free.pop()
            self._values[index] = value
        else:
            index = len(self._values)
            self._values.append(value)
            if index == self._used.size:
                self._used = np.concatenate([self._used, np.zeros_like(self._used)])
        self._used[index] = now_ns
        self._index[key] = index
        return index

    def forget(self, unused_since_ns: int) -> list[int]:
        """Drop what was not used since a moment and return the indices that are free now.

        Nothing may hold them.
        """
        dead = [key for key, index in self._index.items() if self._used[index] < unused_since_ns]
        freed = [self._index.pop(key) for key in dead]
        freed += [index for index in self._replaced if self._used[index] < unused_since_ns]
        self._replaced = [index for index in self._replaced if self._used[index] >= unused_since_ns]
        self._free += freed
        self._clear_slots()
        return freed

    def _find(self, key: int, now_ns: int) -> int:
        index = self._index.get(key, UNKNOWN)
        if index != UNKNOWN:
            return index
        value = self._missing(key)
        return UNKNOWN if value is None else self.learn(key, value, now_ns)

    def _remember(self, keys: NDArray[np.uint64], indices: NDArray[np.int64]) -> None:
        """Put (m,) known keys into the table, of those that share a slot the first."""
        slots, first = np.unique(_slot(keys), return_index=True)
        self._slot_key[slots], self._slot_index[slots] = keys[first], indices[first]

    def _clear_slots(self) -> None:
        self._slot_key = _nobody()
        self._slot_index.fill(UNKNOWN)


def _nobody() -> NDArray[np.uint64]:
    """Return for each slot a key that belongs in another one, so that it is nobody's."""
    keys = np.zeros(1 << _SLOTS_BITS, dtype=np.uint64)
    keys[_slot(keys[:1])] = 1
    return keys


def _slot(keys: NDArray[np.uint64]) -> NDArray[np.intp]:
    return ((keys * _MIX) >> np.uint64(64 - _SLOTS_BITS)).astype(np.intp)
