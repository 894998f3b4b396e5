# SPDX-License-Identifier: Apache-2.0
"""From an earlier state to the position: the same records and words once more, their rows thrown away.

Needed where the newest state object in the lake is damaged. The rows are in the lake; only histogram rows
are kept, since nobody knows whether they were published. A record that Kafka no longer has ends it with an
error: a state made without it would give other rows from then on.
"""

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from consumer.engine import Output, Record
from consumer.pipeline.words import jump_in, tell
from lake.errors import LakeCorruptError
from lake.partition import Behind


class Replayed(Protocol):
    """What is needed of an engine."""

    def apply(self, records: Sequence[Record]) -> Output:
        """Take records in order."""

    def flush(self) -> Output:
        """Close what is open, as if time had passed."""


class Replay:
    """Brings an engine from `behind.state_offset` to `until`; `outbox` gets what may be unpublished."""

    def __init__(
        self, engine: Replayed, behind: Behind, until: int, outbox: list[pa.Table], shift: int = 0
    ) -> None:
        self.outbox = outbox
        self.shift = shift
        self.damage = behind.damage
        self._engine, self._behind, self._until = engine, behind, until
        self._told = list(behind.told)
        self.next_offset = behind.state_offset
        self._hear()

    @property
    def kafka_offset(self) -> int:
        """The Kafka offset of the next record that is needed."""
        return self.next_offset - self.shift

    @property
    def done(self) -> bool:
        """Whether the engine is at the position."""
        return self.next_offset == self._until and not self._told

    def take(self, records: Sequence[Record]) -> Sequence[Record]:
        """Apply the records below the position, return the others.

        Raises:
            LakeCorruptError: one is missing.
        """
        left = list(records)
        while not self.done:
            left = [record for record in left if record.kafka_offset >= self.kafka_offset]
            if not left:
                break
            stop = (self._told[0][0] if self._told else self._until) - self.shift
            batch = [record for record in left if record.kafka_offset < stop]
            if not batch:
                raise self._gone(left[0].kafka_offset)
            self._require_consecutive(batch)
            self._keep(self._engine.apply(batch))
            self.next_offset += len(batch)
            self._hear()
            left = left[len(batch) :]
        return left

    def require_from(self, low: int) -> None:
        """Raise LakeCorruptError where the broker's first record is beyond the one that is needed next."""
        if not self.done and low > self.kafka_offset:
            raise self._gone(low)

    def _require_consecutive(self, records: Sequence[Record]) -> None:
        for offset, record in enumerate(records, self.kafka_offset):
            if record.kafka_offset != offset:
                self.next_offset = offset + self.shift
                raise self._gone(record.kafka_offset)

    def _hear(self) -> None:
        while self._told and self._told[0][0] == self.next_offset:
            word = self._told.pop(0)[1]
            to = jump_in(word)
            if to is None:
                self._keep(tell(self._engine, word))
            else:
                self._jump(to)

    def _jump(self, kafka_offset: int) -> None:
        """Go on where reading went on: ahead past what was gone, or back where a broker lost records.

        What Kafka has now before the place it went back to is not what was read there.
        """
        if kafka_offset >= self.kafka_offset:
            self.next_offset = kafka_offset + self.shift
        elif self.next_offset == self._behind.state_offset:
            self.next_offset += 1  # one lake offset stands for the jump, so that the lake's only rise
            self.shift = self.next_offset - kafka_offset
        else:
            raise self._gone(kafka_offset)

    def _keep(self, output: Output) -> None:
        table = output.rows.get("histogram")
        if table is not None and table.num_rows:
            self.outbox.append(table)

    def _gone(self, found: int) -> LakeCorruptError:
        return LakeCorruptError(
            f"{self._behind.damage}. To make that state again Kafka would have to have the records from "
            f"{self.kafka_offset} to {self._until - self.shift}; the first it still has is {found}",
            name=self._behind.name,
        )
