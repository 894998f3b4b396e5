# SPDX-License-Identifier: Apache-2.0
"""What is known of one file without reading it: its rows by shard, their events, what is left. Pure.

So a loss of a whole file is counted exactly, even where the file cannot be read any more.
"""

from array import array
from pathlib import Path

from agent.spool.queue import Queue
from agent.spool.record import Loss, Record, Run


class Book:
    """The account of one file."""

    def __init__(self, number: int, path: Path, run: Run, realtime_offset_ns: int, *, own: bool) -> None:
        self.number = number
        self.path = path
        self.run = run
        self.realtime_offset_ns = realtime_offset_ns
        self.own = own
        self.damaged = False
        """A row of it could not be read: the file is to be looked at, not removed."""
        self.queues: dict[int, Queue] = {}
        self._events = array("I")
        """By row - 1."""
        self.bytes = 0
        """On the disk; kept by the store."""

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return len(self._events)

    def add(self, record: Record) -> None:
        """Take the next row."""
        self._events.append(record.events)
        queue = self.queues.get(record.shard)
        if queue is None:
            queue = self.queues[record.shard] = Queue(record.oldest_ns)
        queue.add(self.rows, record.sequence)

    def add_damaged(self) -> None:
        """Take the next row, of which nothing is known."""
        self._events.append(0)
        self.damaged = True

    def events_of(self, row: int) -> int:
        """Return the events of a row."""
        return self._events[row - 1]

    def losses(self, reason: str, after: dict[int, int]) -> list[Loss]:
        """Return what is left of each shard as lost; what is out is not, it may yet arrive.

        ``after`` is shard -> oldest_ns of what follows in other files.
        """
        found = []
        for shard, queue in self.queues.items():
            left = queue.left()
            if left:
                through = None if queue.out or not self.own else queue.last_sequence
                events = sum(map(self.events_of, left))
                oldest = after.get(shard)
                found.append(Loss(reason, self.own, shard, len(left), events, through, oldest, self.run))
        return found

    @property
    def records_left(self) -> int:
        """Records that are not done."""
        return sum(map(len, self.queues.values()))

    @property
    def events_left(self) -> int:
        """Events of the records that are neither done nor out."""
        return sum(self.events_of(row) for queue in self.queues.values() for row in queue.left())

    def oldest_ns(self) -> int | None:
        """Return realtime nanoseconds of the oldest event that is left, None if nothing is left."""
        oldest = min((queue.oldest_ns for queue in self.queues.values() if len(queue)), default=None)
        return None if oldest is None else oldest + self.realtime_offset_ns
