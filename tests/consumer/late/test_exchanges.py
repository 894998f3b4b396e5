# SPDX-License-Identifier: Apache-2.0
"""A look joins words of which one end's came hours late: turns and network time are then as in time."""

import random
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from consumer.engine import Output, Record
from consumer.engine.records import combine
from consumer.late import exchanges
from consumer.late.find import keys_of_both, open_rows
from consumer.late.taken import added_up
from schemas.batch import encode
from schemas.tables import KINDS
from support.exchanges import Style
from support.stories import sums
from support.turn_sums import added
from tests.consumer.engine.scene import BASE_MS, Host, ends
from tests.consumer.engine.spoken import EVEN, NAMES, SAME, SETTINGS, records, world
from tests.consumer.late.test_corrections import outputs_of, tables

HOUR_MS = 3_600_000
PARTS = Style(EVEN.think, request_parts=3, response_parts=2)
MEASURES = ("network", "server-turn")


def heard_before(side: int) -> Record:
    """Something of another connection of a host, so that its address is known to be one with an agent."""
    host = Host(NAMES[side], boot="known", epoch=99)
    return Record(0, BASE_MS - 10, encode(host.batch([ends(900 + side)[side]], {})))


def delayed(given: list[Record], side: int, since: int = 0) -> list[Record]:
    """Have one host deliver all of its batches from one on three hours late."""
    mine = [one for one in given if NAMES[side].encode() in one.value[:40]]
    late = {id(one) for one in mine[since:]}
    moved = [one._replace(timestamp_ms=one.timestamp_ms + 3 * HOUR_MS * (id(one) in late)) for one in given]
    return sorted(moved, key=lambda one: one.timestamp_ms)


def told(given: list[Record]) -> dict[str, pa.Table]:
    """Rows of a run."""
    outputs: list[Output] = outputs_of([heard_before(0), heard_before(1), *given], SETTINGS)
    return {kind: tables(outputs, kind) for kind in ("histogram", "exchange")}


def looked_at(words: pa.Table, tick: int = -1) -> dict[str, pa.Table]:
    """What a look at these words adds."""
    found = []
    for lot in keys_of_both(words):
        rows = open_rows(words.filter(pa.compute.is_in(words["connection"], lot)), exchanges.IDENTITY)
        met = exchanges.meet(rows, ())
        found.append(exchanges.corrections(met, tick, BASE_MS, SETTINGS.window_ns))
    rows_of = added_up(combine(found))
    return {kind: table.select(KINDS[kind].names) for kind, table in rows_of.items()}


def corrected(rows: dict[str, pa.Table], tick: int = -1) -> dict[str, pa.Table]:
    more = looked_at(rows["exchange"], tick)
    return {kind: pa.concat_tables([table, *filter(None, [more.get(kind)])]) for kind, table in rows.items()}


def of(rows: dict[str, pa.Table], *measures: str) -> Any:
    return sums(rows["histogram"].filter(pa.compute.field("measure").isin(measures)))


def open_words(rows: dict[str, pa.Table]) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for row in rows["exchange"].to_pylist():
        found[tuple(row[name] for name in exchanges.IDENTITY)] += row["weight"]
    return Counter({name: weight for name, weight in found.items() if weight})


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("style", [EVEN, PARTS, Style(EVEN.think, pipelined=0.05)])
def test_words_that_come_hours_late_make_the_figures_of_a_run_in_which_they_came_in_time(
    side: int, style: Style
) -> None:
    """Network time and servers' turns are equal, under the edges of two hosts; a second look adds nothing.

    Of requests that crossed, the server's words stay as they were told.
    """
    measures = MEASURES[:1] if style.pipelined else MEASURES
    events, truths = world(style, count=3, size=60)
    given = records(events, size=40, clocks=SAME, closed=True)
    calm, late = told(given), told(delayed(given, side))
    assert of(late, *measures) != of(calm, *measures)
    rows = corrected(late)
    assert of(rows, *measures) == of(calm, *measures)
    network = added(rows["histogram"].to_pylist())["network"]
    assert network.seen == added(calm["histogram"].to_pylist())["network"].seen > 0.9 * len(truths)
    client = [added(one["histogram"].to_pylist())["client-turn"] for one in (rows, calm)]
    assert client[0] == client[1]
    assert "histogram" not in looked_at(rows["exchange"], -2)
    if not style.pipelined:
        assert open_words(rows) == Counter()


def test_without_the_look_network_time_is_missing_and_that_is_said() -> None:
    """The control: nothing is joined."""
    events, truths = world(count=3, size=60)
    given = records(events, size=40, clocks=SAME, closed=True)
    late = added(told(delayed(given, 0))["histogram"].to_pylist())
    assert late["network"].n == 0
    assert (late["server-turn"].n, late["client-turn"].n) == (len(truths), len(truths))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_part_came_late_each_exchange_of_which_both_told_is_joined_once(seed: int) -> None:
    """By brute force over the words that are left: no name is open at both ends, and all told are counted."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    style = chance.choice([EVEN, PARTS])
    events, truths = world(style, count=3, size=60)
    given = records(
        events, size=chance.choice([20, 90]), clocks=SAME, closed=True, kept=lambda _: chance.random() > 0.02
    )
    late = told(delayed(given, chance.randrange(2), chance.randrange(4)))
    rows = corrected(late)
    names = Counter(
        (connection, request_end, response_begin)
        for connection, _, _, request_end, response_begin, *_ in open_words(rows)
    )
    assert set(names.values()) <= {1}
    before, after = (added(one["histogram"].to_pylist()) for one in (late, rows))
    joined = after["network"].told - before["network"].told
    taken = sum(open_words(late).values()) - sum(open_words(rows).values())
    assert joined > 0
    assert joined == added(looked_at(late["exchange"])["histogram"].to_pylist())["network"].told
    assert taken == 2 * after["network"].n - 2 * before["network"].n
    assert after["network"].told <= len(truths)
    assert all(one.missing >= 0 for one in after.values())
    assert "histogram" not in looked_at(rows["exchange"], -2)


def test_each_part_of_a_look_has_a_name_of_its_own() -> None:
    """What was taken back and what was told anew of one edge and window is one part."""
    events, _ = world(PARTS, count=3, size=60)
    late = told(delayed(records(events, size=40, clocks=SAME, closed=True), 1))
    parts = looked_at(late["exchange"])["histogram"].to_pylist()
    named = ("topic_partition", "tick", "window_start_ns", "edge", "sender_host", "receiver_host", "measure")
    assert len({tuple(row[name] for name in named) for row in parts}) == len(parts) > 1


def test_no_word_is_kept_of_ends_whose_other_end_has_no_agent() -> None:
    events, _ = world(count=2, size=30)
    for side in (0, 1):
        outputs = outputs_of(records(events, sides=(side,), closed=True), SETTINGS)
        assert tables(outputs, "exchange").num_rows == 0
