# SPDX-License-Identifier: Apache-2.0
"""Latencies between hosts of different clocks, from the real agent's events to the corrected figure.

Namespaces of one kernel share a clock, so what is true is known; the clocks are bent afterwards.
"""

from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any, NamedTuple

import numpy as np
import pytest

from consumer.latency.clock import pieces as cutting
from consumer.latency.clock.line import Line, Points
from consumer.latency.clock.pair import Pair
from consumer.latency.clock.pieces import Piece
from consumer.rollup import solve as solving
from support import meshed
from support.bent import BEGIN_NS, Bent, Bools
from support.clocks import MICRO, SECOND, Shows, slewing, stepping, straight, wandering
from support.corrected import Caught, Outcome, catch, run, spread
from support.tunnel import SlowPath, Way
from support.worker import Worker

pytestmark = pytest.mark.kernel
HOSTS = 6
BURSTS = 400
SLOW_BURSTS = 120


@pytest.fixture(scope="module")
def caught() -> Iterator[Caught]:
    with meshed.Bridged(HOSTS + 1) as (*hosts, deaf), Worker() as worker:
        yield catch(worker, hosts, deaf, BURSTS)


STEP_AT, STEP = 31 * SECOND, 3_000 * MICRO


def world(caught: Caught, **more: Any) -> list[Bent]:
    """Return hosts of all kinds; what their CLOCK_REALTIME shows is up to 10 s off."""
    turned = lambda true: 500e-6 * (np.clip(true, 10 * SECOND, 30 * SECOND) - 10 * SECOND)  # noqa: E731
    crystals: list[dict[str, Any]] = [
        {"raw": straight(0, 0)},
        {"raw": straight(5 * SECOND, 50e-6), "late_ns": 10 * 10**9},
        {"raw": wandering(-9 * SECOND, -50e-6, 0.1e-6, 60 * SECOND), "late_ns": -10 * 10**9},
        {"raw": straight(3 * SECOND, 12e-6), "slewed": turned, "late_ns": -2 * 10**9},
        {"raw": stepping(straight(0, -31e-6), STEP_AT, STEP), "uptime_ns": 400 * 86_400 * 10**9},
        {"raw": slewing(straight(0, 7e-6), 25 * SECOND, 45 * SECOND, 20e-6)},
    ]
    return [Bent(f"h{n}", host.inode, **crystals[n], **more) for n, host in enumerate(caught.hosts)]


@pytest.fixture(scope="module")
def all_kinds(caught: Caught) -> Outcome:
    return run(caught, world(caught), seed=1)


def test_latencies_between_hosts_are_right_within_their_bounds(all_kinds: Outcome) -> None:
    """Every kind of clock in one mesh."""
    out = all_kinds
    assert (out.bound >= 0).all(), out.figures()
    assert out.covered >= 0.999, out.figures()
    calm = np.any([out.of(f"boot-h{a}", f"boot-h{b}") for a, b in permutations((0, 1, 2), 2)], axis=0)
    median, most = np.percentile(out.wrong[calm], [50, 95]) / 1e3
    assert (median < 1.5, most < 5) == (True, True), f"{median:.2f} {most:.2f} us"
    assert np.median(out.bound[calm]) / 1e3 < 50


def test_a_step_is_told_by_every_pair_and_smoothed_by_none(all_kinds: Outcome) -> None:
    for other in (0, 1, 2, 3, 5):
        row = all_kinds.solution("boot-h4", f"boot-h{other}")
        assert row["status"] == "bounded"
        assert row["steps"] >= 1
        assert row["largest_step_ns"] == pytest.approx(STEP, abs=20 * MICRO)
    for one, other in ((0, 1), (0, 3), (1, 3)):
        row = all_kinds.solution(f"boot-h{one}", f"boot-h{other}")
        assert (row["steps"], row["largest_step_ns"]) == (0, 0), "readings take a slew of NTP's out"
    assert all_kinds.solution("boot-h1", "boot-h2")["skew_ppb"] == pytest.approx(-100_000, abs=300)
    assert all_kinds.solution("boot-h0", "boot-h4")["skew_ppb"] == pytest.approx(-31_000, abs=300)


def test_the_rows_say_the_same(all_kinds: Outcome) -> None:
    """Between two of its times a row's offset is on the straight line, the truth within the looser bound."""
    for one, other in combinations(range(HOSTS), 2):
        mine = all_kinds.of(f"boot-h{one}", f"boot-h{other}")
        row = all_kinds.solution(f"boot-h{one}", f"boot-h{other}")
        start, now, base = row["times"][0], np.array(row["times"]), row["offsets"][len(row["offsets"]) // 2]
        offset, low, high = (
            np.array(row[name]) - base for name in ("offsets", "low_offsets", "high_offsets")
        )
        sent, received = (
            all_kinds.match[f"{what}_monotonic_ns"].to_numpy()[mine] for what in ("sent", "received")
        )
        place = np.searchsorted(now, sent) - 1
        shift = np.interp(sent - start, now - start, offset)
        latency = received - sent - base - shift
        above = np.maximum((high - offset)[place], (high - offset)[place + 1])
        below = np.maximum((offset - low)[place], (offset - low)[place + 1])
        truth = all_kinds.truth[mine]
        held = (latency - truth <= above + truth * 1e-4 + 1) & (truth - latency <= below + truth * 1e-4 + 1)
        assert held.mean() >= 0.999, (one, other)


def straightened(above: Points, below: Points) -> Pair:
    """The control: least squares instead of the most room, and no cut."""
    if not above.time.size or not below.time.size:
        return Pair([])
    (one, at), (other, under) = (np.polyfit(side.time, side.value, 1) for side in (above, below))
    middle = Line(0.0, (at + under) / 2, (one + other) / 2, (at - under) / 2, one, one)
    begin, end = min(above.time[0], below.time[0]), max(above.time[-1], below.time[-1])
    return Pair([Piece(begin, end, middle, above, below, 0.0)])


def test_a_straight_fit_would_publish_what_is_not_true(
    caught: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solving, "solve", straightened)
    out = run(caught, world(caught), seed=1)
    assert out.covered < 0.99, out.figures()


def test_what_no_line_fits_is_infeasible(caught: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the cut."""
    monkeypatch.setattr(cutting, "_cut", lambda *_: None)
    out = run(caught, world(caught), seed=1)
    assert {out.solution("boot-h4", f"boot-h{other}")["status"] for other in (0, 1, 2)} == {"infeasible"}
    assert (out.bound[out.of("boot-h4", "boot-h0")] == -1).all()


NEAR = 6 * SECOND
"""So far from where a clock is bent few messages may not tell how, and then nothing is claimed: three of the
stretches of 250 ms that hold messages on either side, and the stretch of 2 s that these are in."""


class _Turned(NamedTuple):
    """A clock, and the true times at which it steps, or its rate changes."""

    shows: Shows
    bends: list[float]


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_bounds_hold_with_any_clocks_and_without_readings(caught: Caught, seed: int) -> None:
    """Offsets, rates, wander, steps and slews by chance; of some hosts no readings.

    All have a bound but those near a bend of their sender's or their receiver's clock.
    """
    rng = np.random.default_rng(seed)
    hosts, bends = [], {}
    for n, host in enumerate(caught.hosts):
        clock = _any(rng)
        hosts.append(
            Bent(
                f"h{n}",
                host.inode,
                clock.shows,
                uptime_ns=int(rng.integers(1, 10**7)) * 10**9,
                late_ns=int(rng.integers(-10, 10)) * 10**9,
                reads=bool(rng.random() < 0.5),
            )
        )
        bends[f"boot-h{n}"] = clock.bends
    out = run(caught, hosts, seed)
    assert out.covered >= 0.999, out.figures()
    far = ~_near(out, {f"boot-{host.name}": host.late_ns for host in hosts}, bends)
    assert far.mean() > 0.25, "or nothing is shown"
    assert (out.bound[far] >= 0).all(), out.figures()


def _any(rng: np.random.Generator) -> _Turned:
    clock = wandering(
        rng.uniform(-10, 10) * SECOND, rng.uniform(-50e-6, 50e-6), rng.uniform(0, 0.15e-6), 60 * SECOND
    )
    at = rng.uniform(5, 55) * SECOND
    match int(rng.integers(3)):
        case 0:
            return _Turned(stepping(clock, at, 10 ** rng.uniform(3, 9)), [at])
        case 1:
            end = at + rng.uniform(5, 20) * SECOND
            rate = rng.choice([-1, 1]) * 10 ** rng.uniform(-6, -3.4)
            return _Turned(slewing(clock, at, end, rate), [at, end])
    return _Turned(clock, [])


def _near(out: Outcome, late: dict[str, int], bends: dict[str, list[float]]) -> Bools:
    """Say which messages were sent near a bend of one of their two clocks; a step is of a second at most."""
    ends = (out.match[name].to_pylist() for name in ("sender_boot", "receiver_boot"))
    sent = out.match["sent_at_ns"].to_numpy() - BEGIN_NS
    return np.array(
        [
            any(abs(at - late[sender] - bend) < NEAR + SECOND for bend in bends[sender] + bends[receiver])
            for at, sender, receiver in zip(sent.tolist(), *ends, strict=True)
        ]
    )


def silent(caught: Caught, **more: Any) -> Bent:
    """Return the host that is sent to and never says a word."""
    assert caught.deaf is not None
    return Bent("deaf", caught.deaf.inode, straight(0, 1e-6), **more)


def test_one_way_traffic_bounds_nothing(caught: Caught) -> None:
    hosts = [*world(caught), silent(caught)]
    out = run(caught, hosts, seed=2)
    deaf = out.of("boot-h0", "boot-deaf")
    assert deaf.sum() > 50
    assert (out.bound[deaf] == -1).all()
    assert (out.latency[deaf] == 0).all()
    row = out.solution("boot-h0", "boot-deaf")
    assert (row["status"], row["messages_there"], set(row["offsets"])) == ("unsynced", 0, {None})
    assert (out.bound[~deaf] >= 0).all()


def test_hosts_that_say_how_far_they_are_off_bound_one_another(caught: Caught) -> None:
    """Even where traffic goes one way only; who is tighter by messages stays so."""
    error = 40_000_000
    hosts = [*world(caught), silent(caught, error_ns=error)]
    hosts[0].error_ns, hosts[0].late_ns = 2 * error, error
    out = run(caught, hosts, seed=2)
    deaf = out.of("boot-h0", "boot-deaf")
    assert out.solution("boot-h0", "boot-deaf")["status"] == "bounded"
    assert out.covered >= 0.999, out.figures()
    assert (out.wrong[deaf] <= out.bound[deaf]).all()
    assert 3 * error <= out.bound[deaf].min() <= out.bound[deaf].max() < 3.1 * error
    assert np.median(out.bound[out.of("boot-h0", "boot-h1")]) < 50 * MICRO
    assert (out.bound >= 0).all()


def test_a_false_word_of_the_wall_clock_is_not_believed(caught: Caught) -> None:
    """It says that two hosts are right within 1 us, and they are 10 s apart."""
    hosts = world(caught)
    hosts[0].error_ns = hosts[1].error_ns = 1_000
    out = run(caught, hosts, seed=1)
    assert (out.bound >= 0).all(), out.figures()
    assert out.covered >= 0.999, out.figures()


def test_hosts_come_and_go_and_one_starts_anew(caught: Caught) -> None:
    """A boot within the window is another clock."""
    half = len(caught.begins) // 2
    at = spread(caught.begins, seed=1)
    anew = float(at[half] + at[half - 1]) / 2
    hosts = world(caught)
    hosts[1].alive = (-np.inf, anew)
    hosts[3].alive, hosts[5].alive = (12 * SECOND, np.inf), (-np.inf, 44 * SECOND)
    uptime = int(5 * SECOND - anew)
    again = Bent(
        "h1", caught.hosts[1].inode, straight(0, -20e-6), uptime_ns=uptime, boot="again", alive=(anew, np.inf)
    )
    out = run(caught, [*hosts, again], seed=1)
    boots = set(out.match["sender_boot"].to_pylist())
    assert {"again", "boot-h1"} <= boots
    assert out.covered >= 0.999, out.figures()
    stayed = np.any([out.of(f"boot-h{a}", f"boot-h{b}") for a, b in permutations((0, 2, 4), 2)], axis=0)
    assert (out.bound[stayed] >= 0).all(), out.figures()
    for boot in ("again", "boot-h1"):
        mine = out.of(boot, "boot-h0") | out.of("boot-h0", boot)
        assert (out.bound[mine] >= 0).mean() > 0.75
        assert np.median(out.wrong[mine][out.bound[mine] >= 0]) < 5 * MICRO
    names = {row[name] for row in out.rows.to_pylist() for name in ("first_boot", "second_boot")}
    assert names == boots


THERE, BACK = Way(2_000_000, 300_000, 0.01), Way(8_000_000, 1_000_000, 0.01)


@pytest.fixture(scope="module")
def slow() -> Iterator[Caught]:
    with SlowPath(THERE, BACK) as hosts, Worker() as worker:
        yield catch(worker, list(hosts), None, SLOW_BURSTS)


@pytest.mark.parametrize("step", [0, STEP])
def test_a_path_unlike_there_and_back_is_within_the_bound_and_not_guessed(slow: Caught, step: float) -> None:
    """Nothing in the traffic tells which way is the slower one: so the bound holds at least half of that."""
    clocks = straight(0, 0), stepping(straight(-4 * SECOND, 33e-6), STEP_AT, step)
    hosts = [
        Bent(f"h{n}", host.inode, clock)
        for n, (host, clock) in enumerate(zip(slow.hosts, clocks, strict=True))
    ]
    out = run(slow, hosts, seed=4)
    unlike = (
        out.truth[out.of("boot-h1", "boot-h0")].min() - out.truth[out.of("boot-h0", "boot-h1")].min()
    ) / 2
    known = out.bound >= 0
    assert unlike > 1_000 * MICRO
    assert known.mean() > 0.95, out.figures()
    assert out.covered == 1, out.figures()
    assert out.bound[known].min() >= unlike, out.figures()
    assert np.median(out.bound) < 2 * (BACK.floor_ns + THERE.floor_ns), out.figures()
