# SPDX-License-Identifier: Apache-2.0
"""Rows say by which chance sampling had to keep what they tell of; messages of other chances are apart."""

from typing import Any

import msgspec
import pytest

from consumer.engine import EventEngine, Record, snapshot
from consumer.engine.settings import seal, unseal
from consumer.latency.sampling import Rates, both_ends, one_end
from schemas.batch import FULL_RATE
from schemas.event import Kind
from tests.consumer.engine.scene import Host, Topic, arrival, ends, receive, send
from tests.consumer.engine.traffic import SETTINGS, Rows, collect, run

LOW, HIGH = Rates(3_000, 2_000), Rates(9_000, 1_000)


def given(rates: Rates) -> dict[str, int]:
    return {"connection_rate": rates.connection, "block_rate": rates.block}


def conversation(sender: Rates, receiver: Rates, *later: tuple[Rates, Rates]) -> list[Record]:
    """Messages of 9 bytes, one for each pair of rates."""
    topic, pair = Topic(), ends()
    alpha, beta = Host("alpha"), Host("beta", epoch=8)
    for number, (one, other) in enumerate([(sender, receiver), *later]):
        begin, at = 9 * number, 1_000 * number
        topic.put(number, alpha.batch([pair[0]], {Kind.SEND: [send(begin, begin + 9, at)]}, **given(one)))
        reads = {
            Kind.RECEIVE: [receive(begin, begin + 9, at + 50)],
            Kind.ARRIVAL: [arrival(begin + 9, at + 20)],
        }
        topic.put(number, beta.batch([pair[1]], reads, **given(other)))
    return topic.records


def keeps(rows: Rows) -> dict[str, list[Any]]:
    """Measure -> (keep, n) of each row."""
    found: dict[str, list[Any]] = {}
    for row in rows["histogram"]:
        found.setdefault(str(row["measure"]), []).append((row["keep"], row["n"]))
    return {measure: sorted(parts, key=repr) for measure, parts in found.items()}


def test_nothing_is_said_where_all_is_kept() -> None:
    """Null, also where one of two rates is full."""
    rows = run(conversation(Rates(), Rates(FULL_RATE, 5)))
    assert [row["keep"] for row in rows["match"]] == [None]
    assert {part for parts in keeps(rows).values() for part in parts} == {(None, 1)}


def test_what_needs_a_read_is_kept_by_both_ends_and_a_send_by_its_own() -> None:
    """The rates of the batches that told of them."""
    rows = run(conversation(LOW, HIGH))
    both = both_ends(LOW, HIGH)
    assert [row["keep"] for row in rows["match"]] == [both]
    needs_both = {measure: [(both, 1)] for measure in ("delivery", "wire", "receive-wait")}
    assert keeps(rows) == needs_both | {"send-block": [(one_end(LOW), 1)]}


def test_other_rates_are_other_rows() -> None:
    """Of one window and edge, added up only where the weights are the same."""
    rows = run(conversation(LOW, LOW, (LOW, LOW), (HIGH, LOW), (Rates(), Rates())))
    low, both = one_end(LOW), both_ends(HIGH, LOW)
    assert keeps(rows)["delivery"] == sorted([(low, 2), (both, 1), (None, 1)], key=repr)
    assert keeps(rows)["send-block"] == sorted([(low, 2), (one_end(HIGH), 1), (None, 1)], key=repr)


def test_a_restored_engine_knows_the_rates_of_what_waits() -> None:
    """Saved between a send and its read."""
    first, *rest = conversation(LOW, HIGH)
    engine = EventEngine(0, SETTINGS)
    engine.apply([first])
    engine.flush()
    blob = engine.snapshot()
    again = EventEngine.restore(blob, 0, SETTINGS)
    assert again.snapshot() == blob
    rows = collect([again.apply(rest), again.flush()])
    assert [row["keep"] for row in rows["match"]] == [both_ends(LOW, HIGH)]


@pytest.mark.parametrize("version", [1, 2])
def test_a_snapshot_of_before_has_no_rates(version: int) -> None:
    """What waits in it counts as if everything was kept, as it did then."""
    first, *rest = conversation(LOW, LOW)
    engine = EventEngine(0, SETTINGS)
    engine.apply([first])
    engine.flush()
    state = msgspec.msgpack.decode(unseal(engine.snapshot()))
    names = ["type", *snapshot._State.__struct_fields__]
    state[names.index("version")] = version
    older = msgspec.msgpack.encode(state[: names.index("actor_rates")])
    again = EventEngine.restore(seal(older), 0, SETTINGS)
    rows = collect([again.apply(rest), again.flush()])
    assert [row["keep"] for row in rows["match"]] == [both_ends(Rates(), LOW)]


def test_unmatched_rows_tell_the_rates_of_their_event() -> None:
    """Of the end that told it, null where everything was kept."""
    topic, pair = Topic(), ends()
    topic.put(0, Host("alpha").batch([pair[0]], {Kind.SEND: [send(0, 9, 0)]}, **given(LOW)))
    topic.put(0, Host("beta").batch([pair[1]], {Kind.RECEIVE: [receive(20, 29, 0)]}))
    topic.put(SETTINGS.horizon_ms + 1, Host("clock").batch([], {}))
    rows = run(topic.records)["unmatched"]
    found = {row["side"]: (row["connection_rate"], row["block_rate"]) for row in rows}
    assert found == {"send": tuple(LOW), "receive": (None, None)}
