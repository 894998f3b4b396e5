# SPDX-License-Identifier: Apache-2.0
"""How well clocks of hosts are related in a span: a row for each two that talked, and one for each host.

A pair's ``offset_ns`` is how far the second host's CLOCK_MONOTONIC was ahead of the first's at the end of the
last window that was solved, within ``bound_ns``; ``wall_ns`` the same of CLOCK_REALTIME, where both told how
far it was from CLOCK_MONOTONIC. ``worst_ns`` is the loosest bound of the span. All by windows of a minute
that are rolled up and in which they talked, or are known all the same.
"""

from typing import Any

from history.source import Source
from history.span import Span

COLUMNS = (
    *(
        "first_host",
        "second_host",
        "first_boot",
        "second_boot",
        "status",
        "offset_ns",
        "bound_ns",
        "worst_ns",
    ),
    *("wall_ns", "skew_ppm", "steps", "largest_step_ns", "messages", "windows", "bounded", "unsynced"),
    *("infeasible", "error_ns", "seen_ns"),
)
_PAIRS = """
WITH solved AS (
    SELECT *, row_number() OVER () AS number FROM clock_solution
    WHERE window_start_ns >= $from_ns AND window_start_ns < $to_ns
        AND (status = 'bounded' OR messages_there + messages_back > 0)
        AND ($host = '' OR first_host = $host OR second_host = $host)),
point AS (
    SELECT number, unnest(low_offsets) AS low, unnest(offsets) AS middle, unnest(high_offsets) AS high,
        unnest(times) AS moment FROM solved WHERE status = 'bounded'),
span AS (
    SELECT number, max(greatest(high - middle, middle - low)) AS worst, arg_max(middle, moment) AS offset_ns,
        arg_max(greatest(high - middle, middle - low), moment) AS bound_ns FROM point GROUP BY number),
newest AS (
    SELECT boot, arg_max(realtime_offset_ns, at_ns) AS realtime FROM reading
    WHERE at_ns >= $from_ns AND at_ns < $to_ns GROUP BY boot)
SELECT first_host, second_host, first_boot, second_boot, arg_max(status, window_start_ns) AS status,
    arg_max(offset_ns, window_start_ns) AS offset_ns, arg_max(bound_ns, window_start_ns) AS bound_ns,
    max(worst)::BIGINT AS worst_ns,
    arg_max(offset_ns, window_start_ns) + any_value(second.realtime) - any_value(first.realtime) AS wall_ns,
    arg_max(skew_ppb, window_start_ns) FILTER (status = 'bounded') / 1000.0 AS skew_ppm,
    sum(steps)::BIGINT AS steps,
    arg_max(largest_step_ns, abs(largest_step_ns)) FILTER (steps > 0) AS largest_step_ns,
    sum(messages_there + messages_back)::BIGINT AS messages, count(*) AS windows,
    count(*) FILTER (status = 'bounded') AS bounded, count(*) FILTER (status = 'unsynced') AS unsynced,
    count(*) FILTER (status = 'infeasible') AS infeasible, max(window_start_ns + window_ns) AS seen_ns
FROM solved LEFT JOIN span USING (number) LEFT JOIN newest AS first ON first.boot = first_boot
LEFT JOIN newest AS second ON second.boot = second_boot
GROUP BY first_host, second_host, first_boot, second_boot ORDER BY first_host, second_host, seen_ns"""
_HOSTS = """
SELECT host AS first_host, boot AS first_boot, arg_max(error_ns, at_ns) AS error_ns, max(at_ns) AS seen_ns,
    count(*) AS windows
FROM reading WHERE at_ns >= $from_ns AND at_ns < $to_ns AND ($host = '' OR host = $host)
GROUP BY host, boot ORDER BY host, seen_ns"""
DISCIPLINED, FREE = "disciplined", "free"
"""Of a host: somebody disciplines its CLOCK_REALTIME and says how far it may be off, or nobody says so."""


def clocks(source: Source, span: Span, *, host: str = "") -> list[dict[str, Any]]:
    """Return a dict of COLUMNS for each two clocks that talked, then for each host that gave readings.

    ``windows`` of a host are its readings, ``second_host`` of it is None.

    Raises:
        AnswerError: the lake's files could not be read.
    """
    parameters: dict[str, object] = {**span._asdict(), "host": host}
    with source.engine({"clock_solution": span, "reading": span}) as engine:
        pairs = engine.rows(_PAIRS, parameters)
        hosts = engine.rows(_HOSTS, parameters)
    for row in hosts:
        row["status"] = FREE if row["error_ns"] is None else DISCIPLINED
    return [{name: row.get(name) for name in COLUMNS} for row in (*pairs, *hosts)]
