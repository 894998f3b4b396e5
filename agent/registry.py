# SPDX-License-Identifier: Apache-2.0
"""Dense indices for things known by a 64-bit key; what is long unused is forgotten and its index reused."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

V = TypeVar("V")
UNKNOWN = -1


class Registry(Generic[V]):
    """Values by key and by index. An index stays valid until ``forget`` drops its key."""

    def __init__(self) -> None:
        self._index: dict[int, int] = {}
        self._values: list[V] = []
        self._used: list[int] = []
        self._free: list[int] = []
        self._replaced: list[int] = []

    def __len__(self) -> int:
        return len(self._index)

    def value(self, index: int) -> V:
        """Return the value at an index."""
        return self._values[index]

    def index(self, key: int) -> int:
        """Return the index of a key, or UNKNOWN."""
        return self._index.get(key, UNKNOWN)

    def learn(self, key: int, value: V, now_ns: int) -> int:
        """Store a value.

        A key whose value changed gets a new index, so that events held under the old one keep it.
        """
        known = self._index.get(key)
        if known is not None and self._values[known] == value:
            self._used[known] = now_ns
            return known
        if known is not None:
            self._replaced.append(known)
        if self._free:
            index = self._free.pop()
            self._values[index], self._used[index] = value, now_ns
        else:
            index = len(self._values)
            self._values.append(value)
            self._used.append(now_ns)
        self._index[key] = index
        return index

    def touch(self, indices: Iterable[int], now_ns: int) -> None:
        """Note that these were used."""
        for index in indices:
            self._used[index] = now_ns

    def forget(self, unused_since_ns: int) -> int:
        """Drop what was not used since a moment.

        Returns how many. Nothing may hold their indices any more.
        """
        dead = [key for key, index in self._index.items() if self._used[index] < unused_since_ns]
        self._free += [self._index.pop(key) for key in dead]
        old = [index for index in self._replaced if self._used[index] < unused_since_ns]
        self._replaced = [index for index in self._replaced if self._used[index] >= unused_since_ns]
        self._free += old
        return len(dead)


def by_distinct(keys: NDArray[np.uint64], look_up: Callable[[int], int]) -> NDArray[np.int64]:
    """Return look_up(key) for each of (n,) keys, (n,) int64, calling it once for each distinct key."""
    if not keys.size:
        return np.zeros(0, dtype=np.int64)
    if (keys == keys[0]).all():
        return np.full(keys.size, look_up(int(keys[0])), dtype=np.int64)
    distinct, inverse = np.unique(keys, return_inverse=True)
    return np.array([look_up(key) for key in distinct.tolist()], dtype=np.int64)[inverse]
