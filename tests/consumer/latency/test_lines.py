# SPDX-License-Identifier: Apache-2.0
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.latency import lines
from consumer.latency.intervals import Arrivals, Receives, Sends
from consumer.latency.match import Now, Open, match, nothing
from tests.consumer.latency.flows import Event, add, streams

FLOWS = 8
HUGE = 2**62
"""Flows of such positions together need more than 62 bits."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_PART", 3)


def told(events: list[Event], now: Now) -> list[list[object]]:
    """All that comes of two ticks, column by column."""
    waiting, first = match(add(nothing(), events[::2]), FLOWS, now)
    still, last = match(add(waiting, events[1::2]), FLOWS, now._replace(broker_ms=9, expire_before=5))
    return [columns(one) for one in (first, still, last)]


def columns(table: object) -> list[object]:
    return [columns(one) for one in table] if isinstance(table, tuple) else table.tolist()  # type: ignore[attr-defined]


@given(streams(flows=FLOWS), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_how_a_tick_is_cut_into_parts_changes_no_answer(
    small: None, events: list[Event], data: st.DataObject
) -> None:
    """Small parts, some of one flow that has more rows than a part, give what one part gives."""
    kept = data.draw(st.permutations([event for event in events if data.draw(st.booleans())]))
    now = Now(0, -1, data.draw(st.booleans()))
    parts = told(kept, now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_PART", 1 << 17)
        assert told(kept, now) == parts


def waiting(rows_of_flow: list[int]) -> Open:
    events = [
        Event(kind, flow, 10 * row, 10 * row + 10, row)
        for flow, rows in enumerate(rows_of_flow)
        for row in range(rows)
        for kind in (Sends, Receives, Arrivals)
    ]
    return add(nothing(), events)


@pytest.mark.parametrize("rows", [[2, 2, 2, 2], [1, 40, 1, 1], [0, 0, 5, 0], [0] * 4, [40]])
def test_parts_have_every_row_once_and_no_flow_twice(small: None, rows: list[int]) -> None:
    """They are cut between flows only, by ascending flows, and there is one at least."""
    cut = list(lines.parts(*waiting(rows), len(rows)))
    for kind in ("sends", "receives", "arrivals"):
        runs = [getattr(part, kind) for part in cut]
        assert sum(int(one.length.sum()) for one in runs) == sum(rows)
        flows = [set(one.flow.tolist()) for one in runs]
        assert all(max(a, default=-1) < min(b, default=9) for a, b in pairwise(flows))
    assert len(cut) >= min(sum(flow > 0 for flow in rows), 3) or not any(rows)
    assert cut[-1].beyond == len(rows)


@pytest.mark.parametrize("base", [0, HUGE])
def test_a_send_begins_on_the_line_where_its_shift_says(base: int) -> None:
    """Also where coordinates are ranks: begin and end of a send are as far into the line as a receive's."""
    events = [
        Event(kind, flow, position, position + 10, 1)
        for flow in range(FLOWS)
        for position in (0, base + 20)
        for kind in (Sends, Receives)
    ]
    open_ = add(nothing(), events)
    (part,) = lines.parts(*open_, FLOWS)
    found = lines.locate(part, *open_[:3])
    begins = open_.sends.begin[found.sends.order] + found.sends.shift
    assert begins.tolist() == found.receives.low.tolist()
    assert found.sends.high.tolist() == found.receives.high.tolist()
    assert (np.diff(begins) > 0).all()
