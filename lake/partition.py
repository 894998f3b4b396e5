# SPDX-License-Identifier: Apache-2.0
"""One Kafka partition as writers speak of it: what a cycle made of its records, and where to go on.

A `PartitionCommit` that exists covers at least one record or one flush, and goes to kinds the table knows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from schemas.tables import KINDS

_TOPIC_ID = re.compile(r"[A-Za-z0-9_-]+")
"""Kafka's own form; it becomes part of paths and app ids."""


@dataclass(frozen=True, slots=True)
class PartitionCommit:
    """What the records [from_offset, to_offset) of one partition led to.

    `state` is the matcher's memory after them, `flushed` whether it was forced to close everything at
    `to_offset`; only then may the offsets be equal. `rows` has, by kind, a table of that kind's columns
    (`schemas.tables.KINDS`; text best as dictionary columns) and `hour_index` (int64, hours since the epoch),
    which says where a row is filed and is not stored. `told` is all that the matcher was told beside records,
    in order: (offset, word), before the record at that offset. It lets a state be made again (`lake.older`).
    """

    topic: str
    topic_id: str
    partition: int
    from_offset: int
    to_offset: int
    state: bytes
    flushed: bool
    rows: Mapping[str, pa.Table]
    told: tuple[tuple[int, str], ...] = ()
    reached_ns: int | None = None
    """The largest broker's time among the records that this process read, None where it read none."""

    def __post_init__(self) -> None:
        if not _TOPIC_ID.fullmatch(self.topic_id) or self.partition < 0:
            raise ValueError(f"{self.topic_id!r} partition {self.partition} is no partition of Kafka's")
        covered = self.to_offset - self.from_offset
        if self.from_offset < 0 or covered < 0 or (covered == 0 and not self.flushed):
            raise ValueError(f"{self.app_id} cannot be committed for [{self.from_offset}, {self.to_offset})")
        if any(not self.from_offset <= offset <= self.to_offset for offset, _ in self.told):
            raise ValueError(
                f"{self.app_id} was told {self.told}, outside of [{self.from_offset}, {self.to_offset}]"
            )
        unknown = sorted(set(self.rows) - (set(KINDS) - {"progress"}))
        if unknown:
            raise ValueError(f"rows of kind {', '.join(unknown)} cannot be committed")

    @property
    def app_id(self) -> str:
        """The name of the partition in the table's log."""
        return app_id(self.topic_id, self.partition)


@dataclass(frozen=True, slots=True)
class Behind:
    """How an earlier state becomes the one that is damaged: the records from `state_offset`, and `told`.

    `told` is (offset, word) in order, each before the record at its offset. `damage` says what is wrong with
    the states that were passed over, `name` is the newest of them. Without any state (`state` of the Resume
    empty and `fresh`) a new matcher has to be begun.
    """

    state_offset: int
    told: tuple[tuple[int, str], ...]
    damage: str
    name: str
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a partition goes on: read Kafka from `next_offset` with this state.

    With `behind` the state is an earlier one, and first has to be brought to `next_offset`, with no output.
    """

    next_offset: int
    state: bytes
    flushed: bool
    behind: Behind | None = None


def app_id(topic_id: str, partition: int) -> str:
    """Return the name whose version in the table's log is the partition's next offset."""
    return f"wirelag/{topic_id}/{partition}"


def flush_id(app_id: str) -> str:
    """Return the name whose version is the offset of the partition's latest flush."""
    return f"{app_id}/flush"


def require_distinct(parts: tuple[PartitionCommit, ...]) -> None:
    """Refuse an empty commit, and one with a partition twice: deltalake would take it and keep either."""
    ids = [part.app_id for part in parts]
    if not ids or len(set(ids)) < len(ids):
        raise ValueError(f"a commit has one partition or more, each once, not: {', '.join(ids) or 'none'}")
