# SPDX-License-Identifier: Apache-2.0
"""The thread that owns the store: whoever traces hands over and takes out without ever waiting for the disk.

What is handed over is on the disk within ``LINGER_SECONDS`` and one transaction. The queue on the way there
is bounded; a full one refuses, so that the caller can count.
"""

import threading
import time
from collections import deque
from typing import NamedTuple

import structlog

from agent.spool.limits import Figures, Limits
from agent.spool.record import Given, Loss, Place, Record
from agent.spool.store import Store

LINGER_SECONDS = 0.25
"""How long a record waits for others to share a transaction; a page is written for each, however small."""
ENOUGH_BYTES = 2**20
"""Worth a transaction at once."""
IDLE_SECONDS = 2.0
NOTE_SECONDS = 2.0


class Window(NamedTuple):
    """How much may be out at a time, in bytes."""

    all_bytes: int = 8 * 2**20
    least_shares: int = 4
    """Into as many parts, or as many as there are shards with records, it is divided: one stuck shard does
    not keep the others waiting."""


class Taken(NamedTuple):
    """A record for whoever takes them out, with the number of the recall before it."""

    given: Given
    recall: int


Order = tuple[str, Place | int]


class Keeper:
    """One thread calls it; another one works."""

    def __init__(self, store: Store, queue_bytes: int, window: Window = Window()) -> None:  # noqa: B008
        self._store = store
        self._queue_bytes = queue_bytes
        self._window = window
        self._lock = threading.Condition()
        self._records: list[Record] = []
        self._bytes = 0
        self._since = 0.0
        self._orders: list[Order] = []
        self._stop = self._flush = False
        self._wanted = 0
        self._recall = 0
        self._out: dict[Place, tuple[int, int]] = {}
        """Shard and bytes of what is out."""
        self._ready: deque[Taken | Loss] = deque()
        self._note_at = 0.0
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._log = structlog.get_logger()
        self.figures = Figures()

    def start(self) -> dict[int, int]:
        """Open the spool and begin; returns shard -> records that earlier runs left.

        Raises:
            RuntimeFailure: another process has it, or it cannot be written.
        """
        self._store.open()
        held = self._store.held()
        self.figures = self._store.figures()
        self._thread.start()
        return held

    def put(self, record: Record) -> bool:
        """Hand a record over; says whether there was room."""
        size = len(record.value)
        with self._lock:
            if self._bytes + size > self._queue_bytes and self._records:
                return False
            self._since = self._since if self._records else time.monotonic()
            self._records.append(record)
            self._bytes += size
            if len(self._records) == 1 or self._bytes >= ENOUGH_BYTES:
                self._lock.notify()
        return True

    def change(self, limits: Limits) -> None:
        """Keep to other limits from the next transaction on."""
        self._store.limits = limits

    def done(self, place: Place) -> None:
        """A record that was taken arrived, or was given up."""
        self._order("done", place)

    def back(self, place: Place) -> None:
        """A record that was taken did not arrive."""
        self._order("back", place)

    def recall(self, number: int) -> None:
        """Have what is taken from now on tell this number: what tells another one is to be given back."""
        self._order("recall", number)

    def give(self, most_bytes: int) -> None:
        """Say how much may be out, within the window: 0 nothing more, 1 a single record."""
        with self._lock:
            if most_bytes != self._wanted:
                self._wanted = most_bytes
                self._lock.notify()

    def take(self) -> list[Taken | Loss]:
        """Return the records that are wanted, and what was lost; never waits."""
        found = []
        while self._ready:
            found.append(self._ready.popleft())
        return found

    def flush(self, seconds: float) -> bool:
        """Wait until all that was handed over is on the disk or told as lost; says whether that came."""
        with self._lock:
            self._idle.clear()
            self._flush = True
            self._lock.notify()
        return self._idle.wait(seconds)

    def stop(self, seconds: float) -> None:
        """Write what was handed over, close the spool and end the thread."""
        with self._lock:
            self._stop = self._flush = True
            self._lock.notify()
        self._thread.join(seconds)

    def _order(self, what: str, about: Place | int) -> None:
        with self._lock:
            self._orders.append((what, about))
            if len(self._orders) == 1:
                self._lock.notify()

    def _run(self) -> None:
        while True:
            records, orders, stop = self._next()
            try:
                self._work(records, orders)
            except Exception:  # noqa: BLE001 - this thread is the only one that empties the spool: it goes on
                self._log.exception("spool failed")
                time.sleep(LINGER_SECONDS)
            with self._lock:
                if not self._records and not self._orders:
                    self._flush = False
                    self._idle.set()
            if stop:
                self._store.close()
                return

    def _next(self) -> tuple[list[Record], list[Order], bool]:
        """Wait until there is something to do, and return it."""
        with self._lock:
            if not (self._orders or self._due() or self._stop or self._flush):
                self._lock.wait(LINGER_SECONDS if self._records else IDLE_SECONDS)
            records: list[Record] = []
            if self._due():
                records, self._records, self._bytes = self._records, [], 0
            orders, self._orders = self._orders, []
            return records, orders, self._stop

    def _due(self) -> bool:
        waited = time.monotonic() - self._since >= LINGER_SECONDS
        return bool(self._records) and (waited or self._flush or self._stop or self._bytes >= ENOUGH_BYTES)

    def _work(self, records: list[Record], orders: list[Order]) -> None:
        for what, about in orders:
            if isinstance(about, int):
                self._recall = about
            else:
                self._out.pop(about, None)
                (self._store.done if what == "done" else self._store.back)(about)
        if records:
            self._store.write(records)
        if self._wanted:
            self._hand_out()
        self._ready.extend(self._store.losses())
        if self._out and time.monotonic() >= self._note_at:
            self._note_at = time.monotonic() + NOTE_SECONDS
            self._store.note()
        self.figures = self._store.figures()

    def _hand_out(self) -> None:
        out: dict[int, int] = {}
        for shard, size in self._out.values():
            out[shard] = out.get(shard, 0) + size
        window = self._window
        share = window.all_bytes // max(window.least_shares, self._store.shards())
        most = min(self._wanted, window.all_bytes)
        for given in self._store.give(most - sum(out.values()), share, out):
            self._out[given.place] = given.record.shard, len(given.record.value)
            self._ready.append(Taken(given, self._recall))
