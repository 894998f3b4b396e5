# SPDX-License-Identifier: Apache-2.0
"""A window of made-up messages is solved from the rows of the lake, whatever these hold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from consumer.rollup import together
from consumer.rollup.solve import Solved, solve_window
from schemas.tables import KINDS
from support.clocks import MICRO, SECOND, Path, Shows, slewing, straight

BEGIN_NS, WINDOW_NS = 1_790_000_000 * 10**9, 60 * 10**9
UPTIME_NS = 400 * 86_400 * 10**9
"""Far beyond 2^53 ns: a float would be 4 ns off."""
I64 = NDArray[np.int64]


def shown(clock: Shows, true: NDArray[np.float64]) -> I64:
    return np.asarray(np.rint(clock(true)).astype(np.int64) + UPTIME_NS)


def row(sender: str, receiver: str, sent: list[int], arrived: list[int], **more: Any) -> dict[str, Any]:
    at = BEGIN_NS + sent[0] - UPTIME_NS if sent else BEGIN_NS
    names = {
        "sender_host": sender,
        "sender_boot": sender,
        "receiver_host": receiver,
        "receiver_boot": receiver,
    }
    return {"at_ns": at, **names, "sent_times": sent, "arrived_times": arrived} | more


def talk(
    clocks: dict[str, Shows], ways: list[tuple[str, str]], seed: int = 1, messages: int = 300
) -> list[dict[str, Any]]:
    """Return rows of messages one way each, one a row."""
    rng = np.random.default_rng(seed)
    rows = []
    for sender, receiver in ways:
        sent = np.sort(rng.uniform(-60 * SECOND, 120 * SECOND, messages))
        stamps = shown(clocks[sender], sent), shown(clocks[receiver], sent + Path().delays(rng, messages))
        pairs = zip(*(stamp.tolist() for stamp in stamps), strict=True)
        rows += [row(sender, receiver, [here], [there]) for here, there in pairs]
    return rows


def both(*pairs: str) -> list[tuple[str, str]]:
    return [way for pair in pairs for way in ((pair[0], pair[1]), (pair[1], pair[0]))]


def readings(host: str, clock: Shows, slewed: Shows, **more: Any) -> list[dict[str, Any]]:
    """Return one a second; CLOCK_MONOTONIC is what `slewed` shows."""
    true = np.arange(-60 * SECOND, 120 * SECOND, SECOND)
    now, raw = shown(slewed, true), shown(clock, true)
    told = {"host": host, "boot": host, "width_ns": 100, "realtime_offset_ns": BEGIN_NS - UPTIME_NS, **more}
    pairs = zip(now.tolist(), raw.tolist(), strict=True)
    return [
        {"at_ns": one + told["realtime_offset_ns"], "monotonic_ns": one, "raw_offset_ns": other - one} | told
        for one, other in pairs
    ]


def solve(rows: list[dict[str, Any]], told: list[dict[str, Any]] | None = None) -> Solved:
    tables = (
        pa.Table.from_pylist(some, KINDS[kind]) for kind, some in (("clock", rows), ("reading", told or []))
    )
    return solve_window(BEGIN_NS, WINDOW_NS, *tables)


def ask(
    solved: Solved, clocks: dict[str, Shows], a: str, b: str, latency: float = 200 * MICRO
) -> tuple[NDArray[np.float64], I64]:
    """Return (n,) errors and bounds of messages from one boot to another all through the window."""
    sent = np.linspace(0.5 * SECOND, 59.5 * SECOND, 400)
    boots = (pa.array([name] * sent.size) for name in (a, b))
    found = solved.correct(*boots, shown(clocks[a], sent), shown(clocks[b], sent + latency))
    return np.abs(found.latency - latency), found.bound


CLOCKS: dict[str, Shows] = {
    "a": straight(0, 0),
    "b": straight(3 * SECOND, 50e-6),
    "c": straight(-2 * SECOND, -40e-6),
    "d": straight(0, 10e-6),
}


def test_two_clocks_are_compared_and_a_third_through_one_of_them() -> None:
    solved = solve(talk(CLOCKS, both("ab", "bc")))
    for a, b in both("ab", "bc", "ac"):
        wrong, bound = ask(solved, CLOCKS, a, b)
        assert (wrong <= bound).all()
        assert bound.max() < 200 * MICRO
        assert np.median(wrong) < 10 * MICRO
    assert (ask(solved, CLOCKS, "a", "d")[1] == -1).all()
    rows = solved.rows.to_pylist()
    assert [(one["first_boot"], one["second_boot"]) for one in rows] == [("a", "b"), ("b", "c")]
    assert [one["skew_ppb"] for one in rows] == pytest.approx([50_000, -90_000], abs=200)
    assert solved.rows.schema == KINDS["clock_solution"]


def test_clocks_that_fell_silent_contradict_nothing() -> None:
    """Their last messages are of the minute before: too long ago to speak for this one."""
    rows = [one for one in talk(CLOCKS, both("ab")) if one["at_ns"] < BEGIN_NS - 50 * SECOND]
    assert rows
    (found,) = solve(rows).rows.to_pylist()
    assert (found["status"], found["messages_there"], found["messages_back"]) == ("unsynced", 0, 0)


@pytest.mark.parametrize("seconds", np.arange(1.0, 9.0, 0.5).tolist())
def test_what_is_bounded_is_told_however_short_it_is(seconds: float) -> None:
    """Two hosts talk for some seconds only: a row is bounded where it has bounds, and latencies then are."""
    first, last = BEGIN_NS + 20 * SECOND, BEGIN_NS + (20 + seconds) * SECOND
    rows = [one for one in talk(CLOCKS, both("ab"), messages=4000) if first <= one["at_ns"] < last]
    solved = solve(rows)
    (found,) = solved.rows.to_pylist()
    told = [
        one is not None and two is not None
        for one, two in zip(found["offsets"], found["offsets"][1:], strict=False)
    ]
    wrong, bound = ask(solved, CLOCKS, "a", "b")
    assert (found["status"] == "bounded") == any(told) == (bound >= 0).any()
    assert any(told) or seconds < 7  # b is 3 s ahead, so that less is of both
    assert (wrong <= bound)[bound >= 0].all()


def test_one_clock_needs_no_solution() -> None:
    found = solve([]).correct(
        pa.array(["x", "x", None, None]).dictionary_encode(),
        pa.chunked_array([["x"], ["y", "x", None]]),
        np.array([5, 5, 5, 5]),
        np.array([9, 9, 9, 9]),
    )
    assert found.latency.tolist() == [4, 0, 0, 0]
    assert found.bound.tolist() == [0, -1, -1, -1]


def test_messages_that_take_long_are_right_within_their_bounds() -> None:
    """A clock is no better than its crystal, so a latency is known to a share of itself."""
    solved = solve(talk(CLOCKS, both("ab", "bc")))
    for a, b in both("ab", "ac"):
        wrong, bound = ask(solved, CLOCKS, a, b, latency=8 * SECOND)
        assert (bound >= 0).all()
        assert (wrong <= bound).all()
        assert bound.max() < 2_000 * MICRO


def test_the_answer_does_not_depend_on_the_order_or_the_cut_of_rows() -> None:
    rows = talk(CLOCKS, both("ab", "bc"))
    told = readings("a", CLOCKS["a"], CLOCKS["a"]) + readings("b", CLOCKS["b"], CLOCKS["b"])
    one = solve(rows, told)
    shuffled = [rows[at] for at in np.random.default_rng(3).permutation(len(rows))]
    other = solve(shuffled, told[::-1] + told[:40])
    assert one.rows.equals(other.rows)


def test_readings_take_the_pace_that_ntp_sets_out_of_a_clock() -> None:
    """The control: without readings a slew of 300 ppm is a change of the clock, and bounds are the looser."""
    slewed = slewing(CLOCKS["b"], 10 * SECOND, 30 * SECOND, 300e-6)
    clocks = CLOCKS | {"b": slewed}
    rows, told = talk(clocks, both("ab")), readings("b", CLOCKS["b"], slewed)
    bounds = {}
    for name, some in (("with", told), ("without", [])):
        solved = solve(rows, some)
        wrong, bound = ask(solved, clocks, "a", "b")
        assert (wrong <= bound)[bound >= 0].all(), name
        bounds[name] = np.where(bound < 0, np.inf, bound)
        assert solved.rows["steps"].to_pylist() == [0 if name == "with" else 2]
    assert np.median(bounds["with"]) < 60 * MICRO
    assert bounds["with"].mean() < bounds["without"].mean()


@pytest.mark.parametrize("part", [slice(0, 80), slice(100, None), slice(90, 91)])
def test_readings_of_a_part_leave_the_rest_to_messages(part: slice) -> None:
    """Beyond them a clock may be slewed by nobody knows how much; messages tell better, as without any."""
    slewed = slewing(CLOCKS["b"], 10 * SECOND, 30 * SECOND, 300e-6)
    clocks = CLOCKS | {"b": slewed}
    rows, told = talk(clocks, both("ab")), readings("b", CLOCKS["b"], slewed)[part]
    wrong, bound = ask(solve(rows, told), clocks, "a", "b")
    assert (wrong <= bound)[bound >= 0].all()
    assert bound.tolist() == ask(solve(rows), clocks, "a", "b")[1].tolist()
    assert np.median(bound) < 150 * MICRO


def test_a_host_that_comes_is_known_by_its_readings() -> None:
    """All it stamps is later than its first reading."""
    slewed = slewing(CLOCKS["b"], 10 * SECOND, 90 * SECOND, 300e-6)
    clocks = CLOCKS | {"b": slewed}
    begin = BEGIN_NS + 5 * SECOND
    rows = [one for one in talk(clocks, both("ab")) if one["at_ns"] > begin]
    told = [one for one in readings("b", CLOCKS["b"], slewed) if one["at_ns"] > begin]
    solved = solve(rows, told)
    wrong, bound = ask(solved, clocks, "a", "b")
    assert (wrong <= bound)[bound >= 0].all()
    assert np.median(bound[bound >= 0]) < 60 * MICRO
    assert solved.rows["steps"].to_pylist() == [0]


def test_an_interrupted_reading_is_left_out() -> None:
    told = readings("b", CLOCKS["b"], CLOCKS["b"])
    told[90] = told[90] | {"raw_offset_ns": told[90]["raw_offset_ns"] + 4 * 10**6, "width_ns": 9 * 10**6}
    wrong, bound = ask(solve(talk(CLOCKS, both("ab")), told), CLOCKS, "a", "b")
    assert (wrong <= bound).all()
    assert bound.max() < 100 * MICRO


WORST: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "lists unlike": lambda one: one | {"sent_times": [*one["sent_times"], 5]},
    "no times": lambda one: one | {"sent_times": [], "arrived_times": []},
    "null lists": lambda one: one | {"sent_times": None},
    "null boot": lambda one: one | {"sender_boot": None},
    "null host": lambda one: one | {"sender_host": None, "receiver_host": None},
    "itself": lambda one: one | {"sender_boot": "a", "receiver_boot": "a"},
    "largest": lambda one: one | {"sender_boot": "z", "sent_times": [2**63 - 1], "arrived_times": [-(2**63)]},
    "another's": lambda one: one | {"at_ns": -(2**63), "sender_boot": "y"},
    "null time": lambda one: one | {"at_ns": None},
    "null in a list": lambda one: one | {"sent_times": [None], "receiver_boot": "x"},
}


@pytest.mark.parametrize("worst", WORST)
def test_rows_that_make_no_sense_harm_no_other_clock(worst: str) -> None:
    rows = talk(CLOCKS, both("ab"))
    solved = solve([*rows, *(WORST[worst](one) for one in rows[::50])])
    wrong, bound = ask(solved, CLOCKS, "a", "b")
    assert (bound >= 0).all()
    assert (wrong <= bound).all()
    assert solved.rows.num_rows >= 1


def test_readings_that_lie_cost_their_own_host_only() -> None:
    lies = [
        {"host": "c", "boot": "c", "at_ns": BEGIN_NS, "monotonic_ns": at, "raw_offset_ns": (-1) ** at * 2**62}
        | {"width_ns": 2**62, "realtime_offset_ns": -(2**62), "error_ns": 2**62}
        for at in range(UPTIME_NS, UPTIME_NS + 40)
    ]
    none = dict.fromkeys(("width_ns", "realtime_offset_ns", "raw_offset_ns", "monotonic_ns"), 0)
    lies += [{"host": None, "boot": "d", "at_ns": 0} | none, {"host": "e", "boot": None, "at_ns": 0} | none]
    wrong, bound = ask(solve(talk(CLOCKS, both("ab", "ac")), lies), CLOCKS, "a", "b")
    assert (bound >= 0).all()
    assert (wrong <= bound).all()


def test_of_too_many_clocks_each_two_are_looked_at_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = talk(CLOCKS, both("ab", "bc", "cd"))
    whole = solve(rows)
    assert (ask(whole, CLOCKS, "a", "c")[1] >= 0).all()
    monkeypatch.setattr(together, "MOST", 3)
    alone = solve(rows)
    for a, b in both("ab", "bc", "cd"):
        wrong, bound = ask(alone, CLOCKS, a, b)
        assert (bound >= 0).all()
        assert (wrong <= bound).all()
    assert (ask(alone, CLOCKS, "a", "c")[1] == -1).all()
    assert alone.rows["status"].to_pylist() == whole.rows["status"].to_pylist() == ["bounded"] * 3


def test_what_hosts_say_of_their_wall_clocks_joins_those_that_never_talked() -> None:
    told = [
        one
        for name in "ad"
        for one in readings(name, CLOCKS[name], CLOCKS[name], error_ns=2_000_000)
    ]  # fmt: skip
    solved = solve(talk(CLOCKS, both("ab")), told)
    wrong, bound = ask(solved, CLOCKS, "d", "a")
    assert (bound >= 4_000_000).all()
    assert bound.max() < 4_100_000
    assert (wrong <= bound).all()
    wrong, bound = ask(solved, CLOCKS, "d", "b")
    assert (ask(solve(talk(CLOCKS, both("ab"))), CLOCKS, "d", "a")[1] == -1).all()


def test_a_step_between_sending_and_reading_is_within_the_bound() -> None:
    """Which of both clocks stepped no message says, so the bound holds either."""
    jump = 400 * MICRO
    stepped: Shows = lambda true: CLOCKS["b"](true) + np.where(true >= 30 * SECOND, jump, 0.0)  # noqa: E731
    clocks = CLOCKS | {"b": stepped}
    for latency in (100 * MICRO, 7 * SECOND):
        wrong, bound = ask(solve(talk(clocks, both("ab"))), clocks, "a", "b", latency)
        assert (wrong <= bound)[bound >= 0].all()
        wrong, bound = ask(solve(talk(clocks, both("ab"))), clocks, "b", "a", latency)
        assert (wrong <= bound)[bound >= 0].all()
