# SPDX-License-Identifier: Apache-2.0
"""How far figures of what was sampled may be off: limits from the rows that say what was kept as one.

Of messages those are the matches: blocks and connections (``estimates``). A group's matches are used if they
are the very messages of its histogram; else its parts by Kafka partition are, as connections are spread over
partitions by a hash. Where neither is in the lake any more, nothing is claimed.
"""

from typing import Any

import numpy as np

from history.estimates import Blocks, group_limits, share_limits, total_limits
from history.figures import SHARES, Limits, Sums
from history.measures import COLUMN, ONE_WAY
from history.parts import Asked
from history.source import Source
from schemas.event import Flag
from schemas.histogram import SCALE
from schemas.tables import SLOWEST

_WANTED = """
    wanted AS (
        SELECT unnest($number) AS number, unnest($label) AS label, unnest($measure) AS measure,
            unnest($p50) AS p50, unnest($p90) AS p90, unnest($p99) AS p99)"""
_BLOCKS = """
WITH {wanted}, message AS (
    SELECT *, {column} AS value, $kind AS measure,
        {time} - {time} % 60000000000 AS window_start_ns
    FROM match WHERE last_piece AND {column} IS NOT NULL {having} {where})
{counted}"""
_COUNTED = """
SELECT number, connection, coalesce(keep, 1.0) AS keep, count(*)::DOUBLE AS n,
    count(*) FILTER (value <= p50)::DOUBLE AS p50, count(*) FILTER (value <= p90)::DOUBLE AS p90,
    count(*) FILTER (value <= p99)::DOUBLE AS p99
FROM (SELECT *, coalesce({label}, {none}) AS label FROM message
    WHERE window_start_ns >= $from_ns AND window_start_ns < $to_ns) JOIN wanted USING (label, measure)
GROUP BY number, connection, direction, ("end" - 1) >> 16, keep ORDER BY number"""
_ON_ONE_CLOCK = """
WITH {wanted}, point AS (
    SELECT window_start_ns, first_boot, second_boot, unnest(times) AS since, unnest(offsets) AS ahead
    FROM clock_solution WHERE status = 'bounded'),
line AS (
    SELECT *, lead(since) OVER clocks AS until, lead(ahead) OVER clocks AS ahead_then FROM point
    WINDOW clocks AS (PARTITION BY window_start_ns, first_boot, second_boot ORDER BY since)),
crossed AS (
    SELECT * EXCLUDE (delivery_ns, wire_ns), sent_at_ns - sent_at_ns % 60000000000 AS window_start_ns,
        $kind AS measure FROM match
    WHERE last_piece AND clock = 'unsynced' AND flags & {left_out} = 0 {having} {where}),
shown AS (
    SELECT *, sender_boot AS first_boot, receiver_boot AS second_boot, sent_monotonic_ns AS since, -1 AS sign
    FROM crossed
    UNION ALL SELECT *, receiver_boot, sender_boot, received_monotonic_ns, 1 FROM crossed),
apart AS (
    SELECT shown.*, ahead + coalesce((ahead_then - ahead)::DOUBLE * (shown.since - line.since)
        / nullif(until - line.since, 0), 0) AS offset_ns
    FROM shown ASOF JOIN line ON shown.window_start_ns = line.window_start_ns
        AND shown.first_boot = line.first_boot AND shown.second_boot = line.second_boot
        AND shown.since >= line.since),
message AS (
    SELECT *, received_monotonic_ns - sent_monotonic_ns + sign * offset_ns - {less} AS value FROM apart
    UNION ALL BY NAME
    SELECT *, sent_at_ns - sent_at_ns % 60000000000 AS window_start_ns, $kind AS measure, {column} AS value
    FROM match WHERE last_piece AND clock = 'same_host' AND flags & {left_out} = 0
        AND {column} IS NOT NULL {where})
{counted}"""
_PARTITIONS = """
WITH {wanted}, own AS (
    SELECT number, topic_partition, coalesce(keep, 1.0) AS keep, n, buckets, counts, p50, p90, p99
    FROM (SELECT *, coalesce({label}, {none}) AS label FROM histogram
        WHERE window_start_ns >= $from_ns AND window_start_ns < $to_ns AND scale = {scale} {where})
    JOIN wanted USING (label, measure)),
above AS (
    SELECT number, topic_partition, keep, sum(amount) FILTER (bucket > p50)::DOUBLE AS p50,
        sum(amount) FILTER (bucket > p90)::DOUBLE AS p90, sum(amount) FILTER (bucket > p99)::DOUBLE AS p99
    FROM (SELECT *, unnest(buckets) AS bucket, unnest(counts) AS amount FROM own) GROUP BY ALL)
SELECT number, topic_partition AS connection, keep, n, n - coalesce(p50, 0) AS p50,
    n - coalesce(p90, 0) AS p90, n - coalesce(p99, 0) AS p99
FROM (SELECT number, topic_partition, keep, sum(n)::DOUBLE AS n FROM own GROUP BY ALL)
LEFT JOIN above USING (number, topic_partition, keep) ORDER BY number"""
_DOUBTFUL = int(Flag.NO_ROLE)


def limits(source: Source, question: Asked, sums: list[Sums]) -> dict[int, Limits]:
    """Return the limits of each group that was sampled, by its number, of those that can be given."""
    thinned = {number: one for number, one in enumerate(sums) if one.sampled and int(one.row["n"])}
    if not thinned:
        return {}
    found: dict[int, Limits] = {}
    tables = dict.fromkeys(("match", "histogram", "clock_solution"), question.span)
    with source.engine(tables) as engine:
        for kind in COLUMN:
            own = {number: one for number, one in thinned.items() if one.row["measure"] == kind}
            if own:
                statement, parameters = _of_blocks(question, kind, own)
                found |= _limits(engine.rows(statement, parameters), own, by_block=True)
        rest = {number: one for number, one in thinned.items() if number not in found}
        if rest:
            statement = _PARTITIONS.format(
                wanted=_WANTED,
                label=question.label,
                none=question.none,
                where=question.condition,
                scale=SCALE,
            )
            rows = engine.rows(statement, question.parameters | _wanted(rest, buckets=True))
            found |= _limits(rows, rest, by_block=False)
    return found


def _of_blocks(question: Asked, kind: str, own: dict[int, Sums]) -> tuple[str, dict[str, object]]:
    """Return the statement that counts the messages of blocks; those of two clocks are brought onto one."""
    left_out = SLOWEST | (0 if kind == "send-block" else _DOUBTFUL)
    named = {"label": question.label, "none": question.none}
    shared = {
        "wanted": _WANTED,
        "column": COLUMN[kind],
        "where": question.condition,
        "counted": _COUNTED.format(**named),
    }
    if kind in ONE_WAY:
        less, having = ("receive_wait_ns", "AND receive_wait_ns IS NOT NULL") if kind == "wire" else ("0", "")
        statement = _ON_ONE_CLOCK.format(**shared, less=less, having=having, left_out=left_out)
    else:
        time = "(sent_at_ns + delivery_ns)" if kind == "receive-wait" else "sent_at_ns"
        statement = _BLOCKS.format(**shared, time=time, having=f"AND flags & {left_out} = 0")
    return statement, question.parameters | {"kind": kind} | _wanted(own)


def _wanted(own: dict[int, Sums], *, buckets: bool = False) -> dict[str, object]:
    """Return the groups and their percentiles, or the buckets that these are in."""
    rows = [one.row for one in own.values()]
    found: dict[str, object] = {
        "number": list(own),
        "label": [row["label"] for row in rows],
        "measure": [row["measure"] for row in rows],
    }
    for name, q in SHARES.items():
        values = [one.value(q) or 0 for one in own.values()]
        found[name] = [_bucket(value) for value in values] if buckets else [_upper(value) for value in values]
    return found


def _bucket(value: int) -> int:
    return int(np.ceil(np.log2(value) * 2**SCALE - 1e-9)) - 1 if value > 0 else -(2**31)


def _upper(value: int) -> int:
    """Return the greatest value of the bucket that a percentile is in."""
    return int(2 ** ((_bucket(value) + 1) / 2**SCALE)) if value > 0 else value


def _limits(rows: list[dict[str, Any]], own: dict[int, Sums], *, by_block: bool) -> dict[int, Limits]:
    by_number: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by_number.setdefault(row["number"], []).append(row)
    found: dict[int, Limits] = {}
    for number, kept in by_number.items():
        columns = {name: np.array([row[name] for row in kept]) for name in kept[0]}
        if round(float(columns["n"].sum())) == int(own[number].row["n"]):
            found[number] = _of_group(columns, own[number], by_block=by_block)
    return found


def _of_group(columns: dict[str, Any], one: Sums, *, by_block: bool) -> Limits:
    found: Limits = {}
    for name, q in SHARES.items():
        blocks = Blocks(columns["connection"], columns["keep"], columns["n"], columns[name])
        shares = share_limits(blocks, q) if by_block else group_limits(blocks, q)
        low, high = (one.value(share) for share in shares) if shares else (None, None)
        found[name] = None if low is None or high is None else (low, high)
    total = total_limits(blocks) if by_block else None
    found["messages"] = None if total is None else (round(total[0]), round(total[1]))
    return found
