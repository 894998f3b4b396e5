# SPDX-License-Identifier: Apache-2.0
"""What a lake's ledger says became of the events that were put into batches, for tests of faults."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas import batch as batch_codec
from support.consumer import read_kind

_KEY = ("connection", "direction", "begin", "end", "sender_host", "sent_at_ns")


@dataclass(frozen=True)
class Account:
    """Sums of the consumer's own ledger rows."""

    stored: int
    lost: dict[str, int]
    """Of hosts, by `stage/reason`."""
    duplicates: int
    records: dict[str, int]
    """Records by reason, under no host: they hold events that are lost by their hosts' account as well."""


def account(lake: Path) -> Account:
    """Return the account of a lake, and require that no match is in it twice."""
    told: Counter[tuple[bool, str]] = Counter()
    for row in read_kind(lake, "ledger").select(["host", "stage", "reason", "events"]).to_pylist():
        if row["stage"] == "consumer":
            told[bool(row["host"]), row["reason"]] += row["events"]
    assert repeated(lake) == 0, "a match is there twice"
    lost = {f"consumer/{reason}": told[True, reason] for reason in ("gap", "squeezed", "earlier")}
    return Account(
        stored=told[True, "stored"],
        lost={reason: events for reason, events in lost.items() if events},
        duplicates=told[True, "duplicate"],
        records={reason: told[False, reason] for has, reason in told if not has},
    )


def repeated(lake: Path) -> int:
    """Return how many matches are in a lake more often than once."""
    matches = read_kind(lake, "match").select(_KEY).to_pylist()
    return len(matches) - len({tuple(row.values()) for row in matches})


def events_below(sent: Iterable[tuple[int, bytes]], bounds: Mapping[int, tuple[int, int]]) -> int:
    """Return the events in the records [first, end) of each partition; ``sent``: all there were, in order."""
    seen: Counter[int] = Counter()
    events = 0
    for partition, value in sent:
        first, end = bounds.get(partition, (0, 0))
        if first <= seen[partition] < end:
            events += batch_codec.decode(value).events
        seen[partition] += 1
    return events
