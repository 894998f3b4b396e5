# SPDX-License-Identifier: Apache-2.0
"""The roll-up of a lake row by row in Python: what the table has to equal. It shares no code with it."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq

from lake.facts import Facts
from schemas.event import Flag
from schemas.tables import KINDS
from tests.consumer.rollup.made import AHEAD, HOUR, MINUTE

DAY = 24 * HOUR
Row = dict[str, Any]
KEY = ("window_start_ns", "window_ns", "edge", "sender_host", "receiver_host", "measure", "clock", "keep")


def stored(facts: Facts, kind: str) -> list[Row]:
    """All rows of a kind, with the hour each is filed in."""
    facts.refresh()
    found = []
    for path in facts.files(kind, None, None):
        date, hour = (text.split("=")[1] for text in path.split("/")[-3:-1])
        table = pq.read_table(path, partitioning=None)
        names = [name for name in KINDS[kind].names if name in table.column_names]
        found += [{**row, "_filed": (date, int(hour))} for row in table.select(names).to_pylist()]
    return found


def ordered(rows: list[Row]) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in rows)


class Brute:
    """What is to be there once windows that end at ``line`` are settled."""

    def __init__(self, facts: Facts, line: int) -> None:
        self.rows = {kind: stored(facts, kind) for kind in ("histogram", "match", "clock", "reading")}
        self.line = line

    def settled(self, row: Row, at: int) -> bool:
        begin = at // MINUTE * MINUTE
        hour = _begin_of(row["_filed"])
        inside = hour <= at < hour + HOUR
        return self.line >= (begin + MINUTE if inside else hour + HOUR)

    def around(self, kind: str, row: Row, at: int) -> int:
        """Rows in and a minute around the window of a moment, in the hours next to where a row is filed."""
        begin, hour = at // MINUTE * MINUTE, _begin_of(row["_filed"])
        inside = hour <= at < hour + HOUR
        return sum(
            begin - MINUTE <= other["at_ns"] < begin + 2 * MINUTE
            and abs(_begin_of(other["_filed"]) - hour) <= (HOUR if inside else 0)
            for other in self.rows[kind]
        )

    def bound(self, row: Row, at: int) -> int:
        clocks = self.around("clock", row, at)
        return clocks * 1000 + self.around("reading", row, at) if clocks else -1

    def latencies(self) -> list[tuple[Row, int | None, int]]:
        """Messages of settled windows: row, delivery or None, bound (-1: none, or one clock)."""
        found = []
        for row in self.rows["match"]:
            if not row["last_piece"] or not self.settled(row, row["sent_at_ns"]):
                continue
            value, bound = row["delivery_ns"], -1
            if row["clock"] != "same_host":
                value = None
                if row["sender_boot"] is not None:
                    bound = self.bound(row, row["sent_at_ns"])
                    apart = AHEAD[row["receiver_boot"]] - AHEAD[row["sender_boot"]]
                    value = (
                        row["received_monotonic_ns"] - row["sent_monotonic_ns"] - apart
                        if bound >= 0
                        else None
                    )
            found.append((row, None if row["flags"] & Flag.NO_ROLE else value, bound))
        return found

    def rollup(self) -> list[Row]:
        sums: dict[Any, Row] = {}
        for row in self.rows["histogram"]:
            if self.settled(row, row["window_start_ns"]):
                self._add(sums, row, row, None)
        for row, value, bound in self.latencies():
            if row["clock"] == "same_host":
                continue
            wait = row["receive_wait_ns"]
            known = {"delivery": value, "wire": None if value is None or wait is None else value - wait}
            for measure, latency in known.items():
                clock = "bounded" if bound >= 0 else "unsynced"
                part = _one(latency) | {"measure": measure, "clock": clock}
                part |= {"window_start_ns": row["sent_at_ns"] // MINUTE * MINUTE, "window_ns": MINUTE}
                self._add(sums, {**row, **part}, row, None if latency is None else bound)
        return [
            row
            for row in sums.values()
            if any(row[name] for name in ("n", "seen", "negative", "sum_ns", "spoiled", "buckets"))
        ]

    def _add(self, sums: dict[Any, Row], part: Row, row: Row, bound: int | None) -> None:
        filed = row["_filed"]
        day = filed[0], 0
        for length, where in ((MINUTE, filed), (HOUR, filed), (DAY, day)):
            if self.line < {MINUTE: 0, HOUR: _begin_of(filed) + HOUR, DAY: _begin_of(day) + DAY}[length]:
                continue
            window = part["window_start_ns"] // length * length
            if length == DAY:
                window = part["window_start_ns"] // HOUR * HOUR // DAY * DAY
            key = (window, length, *(part[name] for name in KEY[2:-1]), part["keep"] or 1.0, where)
            total = sums.setdefault(key, _nothing(part, window, length, where))
            for name in ("n", "seen", "negative", "sum_ns"):
                total[name] += part[name]
            for name, least in (("min_ns", min), ("max_ns", max), ("clock_bound_ns", max)):
                value = bound if name == "clock_bound_ns" else part[name]
                known = [one for one in (total[name], value) if one is not None]
                total[name] = least(known, default=None)
            if part["spoiled"] is not None:
                total["spoiled"] = (total["spoiled"] or 0) + part["spoiled"]
            counts = Counter(dict(zip(total["buckets"], total["counts"], strict=True)))
            counts.update(dict(zip(part["buckets"], part["counts"], strict=True)))
            kept = sorted((bucket, n) for bucket, n in counts.items() if n)
            total["buckets"], total["counts"] = [b for b, _ in kept], [n for _, n in kept]

    def exemplars(self) -> list[Row]:
        groups: dict[Any, list[tuple[Any, Row]]] = defaultdict(list)
        for row, value, bound in self.latencies():
            if value is None:
                continue
            begin = row["sent_at_ns"] // MINUTE * MINUTE
            wait, cross = row["receive_wait_ns"], row["clock"] != "same_host"
            own = {name: row[name] for name in KINDS["exemplar"].names if name in row}
            own |= {
                "window_start_ns": begin,
                "window_ns": MINUTE,
                "delivery_ns": value,
                "_filed": row["_filed"],
            }
            own["wire_ns"] = None if wait is None else (value - wait if cross else row["wire_ns"])
            own |= {"clock": "bounded", "clock_bound_ns": bound} if cross else {"clock_bound_ns": None}
            key = begin, row["edge"], row["sender_host"], row["receiver_host"], row["_filed"]
            rank = -value, row["sent_at_ns"], row["connection"], row["direction"], row["end"]
            groups[key].append((rank, own))
        return [row for some in groups.values() for _, row in sorted(some, key=lambda one: one[0])[:4]]

    def solutions(self) -> list[Row]:
        found = {}
        for kind, time in (("clock", "at_ns"), ("reading", "at_ns"), ("match", "sent_at_ns")):
            for row in self.rows[kind]:
                at = row[time]
                if not self.settled(row, at) or (
                    kind == "match" and not (row["last_piece"] and row["sender_boot"])
                ):
                    continue
                there, back = self.around("clock", row, at), self.around("reading", row, at)
                if there or back:
                    begin = at // MINUTE * MINUTE
                    found[begin, row["_filed"]] = {
                        **dict.fromkeys(KINDS["clock_solution"].names), "window_start_ns": begin,
                        "window_ns": MINUTE, "status": "bounded", "messages_there": there,
                        "messages_back": back, "_filed": row["_filed"],
                    }  # fmt: skip
        return list(found.values())


def require_equal(facts: Facts, line: int) -> None:
    """The table's roll-up is that of its facts, row by row."""
    brute = Brute(facts, line)
    for kind, rows in (
        ("rollup", brute.rollup()),
        ("exemplar", brute.exemplars()),
        ("clock_solution", brute.solutions()),
    ):
        assert ordered(stored(facts, kind)) == ordered(rows), kind


def _one(value: int | None) -> Row:
    if value is None:
        return {"n": 0, "seen": 1, "negative": 0, "sum_ns": 0, "min_ns": None, "max_ns": None,
                "buckets": [], "counts": [], "spoiled": None}  # fmt: skip
    bucket = [] if value <= 0 else [_bucket(value)]
    return {"n": 1, "seen": 1, "negative": int(value < 0), "sum_ns": value, "min_ns": value, "max_ns": value,
            "buckets": bucket, "counts": [1] * len(bucket), "spoiled": None}  # fmt: skip


def _bucket(value: int) -> int:
    """The largest i with 2^(i/32) < value, in integers."""
    low, high = -1, 2048
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if value**32 > 2**middle else (low, middle)
    return low


def _nothing(part: Row, window: int, length: int, where: tuple[str, int]) -> Row:
    keep = None if part["keep"] in {None, 1.0} else part["keep"]
    return {
        "window_start_ns": window, "window_ns": length, **{name: part[name] for name in KEY[2:-1]},
        "n": 0, "seen": 0, "negative": 0, "sum_ns": 0, "min_ns": None, "max_ns": None, "scale": 5,
        "buckets": [], "counts": [], "spoiled": None, "keep": keep, "clock_bound_ns": None, "_filed": where,
    }  # fmt: skip


def _begin_of(filed: tuple[str, int]) -> int:
    day = datetime.fromisoformat(filed[0]).replace(tzinfo=UTC)
    return int(day.timestamp()) * 10**9 + filed[1] * HOUR
