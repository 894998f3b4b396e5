# SPDX-License-Identifier: Apache-2.0
"""Goal 8: matching against ASOF joins, histograms against ddsketch, and the clocks of a fleet in time.

``python -m bench.latency [--events N] [--rounds N]``, after ``scripts/setup --bench``. One thread each, CPU
time of the process, in alternation; equal answers are checked each time. What is measured of us is said by
the names: the pairs alone, which is what a join answers, and a whole tick as the consumer runs it.
"""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))
# Before numpy is loaded: its linear algebra would take both cores.
os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")

from bench.latency import fleet, sketches, streams
from bench.latency.engines import ClickHouse, DuckDB, Ours
from bench.latency.rounds import alternate, show
from bench.report import report
from common.heap import keep_freed

EVENTS, ROUNDS = 1_000_000, 7
CONNECTIONS = 2_000
DUCKDB, CLICKHOUSE, DDSKETCH, SECONDS = 3.0, 2.5, 100.0, 2.0
EDGES = 1_000
CLOCK_ROUNDS = 3
VALUES, FILLS = 200_000, 20
"""So often we fill for one call, which else would be over before the caches are warm."""
MERGE = "full_sorting_merge"

Goal = tuple[str, float, float]


def matching(events: int, rounds: int, keep: Callable[[], bool]) -> list[Goal]:
    """Compare the matcher with both engines, and say what a whole tick costs."""
    made = streams.make(events, CONNECTIONS, arrivals=False)
    print(
        f"matching: {made.sends.flow.size:,} sends, {made.receives.flow.size:,} reads of {made.flows:,} flows"
    )
    ours, duck, click = Ours(made), DuckDB(made), ClickHouse(made)
    keep()  # DuckDB, as it begins, has glibc give back all that is free; the consumer has no DuckDB
    try:
        pairs = alternate(
            {
                "ours": ours.pairs,
                "ours again": ours.pairs,
                "duckdb": duck.pairs,
                "chdb": click.pairs,
                "chdb, sorting": partial(click.pairs, MERGE),
            },
            rounds,
        )
        print(f"  {ours.pairs().matches:,} matches")
        show(pairs, made.events, "ours")
        print("the matches themselves made too, by us with all that a tick does")
        ticks = alternate(
            {"our tick": ours.tick, "our tick again": ours.tick, "duckdb": duck.tick, "chdb": click.tick},
            rounds,
        )
        show(ticks, made.events, "our tick")
    finally:
        click.close()
    full = streams.make(events, CONNECTIONS, arrivals=True)
    print(f"a tick with {full.arrivals.flow.size:,} arrivals among {full.events:,} events")
    show(alternate({"our tick": Ours(full).tick}, rounds), full.events, "our tick")
    best = min(("chdb", "chdb, sorting"), key=pairs.cpu)
    return [
        ("match-against-duckdb-asof", pairs.ratio("duckdb", "ours"), DUCKDB),
        ("match-against-chdb-asof", pairs.ratio(best, "ours"), CLICKHOUSE),
    ]


def histograms(rounds: int) -> list[Goal]:
    """Compare filling one histogram with filling one sketch."""
    column = sketches.values(VALUES)
    listed = column.astype(float).tolist()
    print(f"histogram: {VALUES:,} values")
    sketches.check(column)

    def fill(groups: int) -> int:
        return [int(sketches.ours(column, groups).n.sum()) for _ in range(FILLS)][-1]

    calls: dict[str, Callable[[], object]] = {
        "ours": partial(fill, 1),
        "ours again": partial(fill, 1),
        f"ours, {EDGES:,} edges": partial(fill, EDGES),
        "ddsketch": lambda: int(sketches.theirs(listed).count),
    }
    filled = alternate(calls, rounds)
    for name in filled.took:
        each = filled.cpu(name) / VALUES / (1 if name == "ddsketch" else FILLS)
        print(f"  {name:18} {each * 1e9:7.1f} ns CPU a value")
    low, *_, high = filled.ratios("ours again", "ours")
    print(f"  ours again / ours: {low:.2f} to {high:.2f}")
    return [("histogram-against-ddsketch", FILLS * filled.ratio("ddsketch", "ours"), DDSKETCH)]


def clocks() -> dict[str, float]:
    """Return seconds of CPU for one window of each fleet."""
    seconds = {}
    for name, least in (("clock-window", fleet.FEWEST), ("clock-window-busiest", fleet.MOST)):
        made = fleet.world(least, fleet.MOST)
        error, covered = fleet.check(made, fleet.solved(made))
        took = alternate({"window": partial(_window, made)}, CLOCK_ROUNDS)
        seconds[name] = took.cpu("window")
        print(
            f"clocks: {fleet.HOSTS} hosts, {made.pairs} pairs, {made.messages:,} messages: "
            f"{seconds[name]:.2f} s CPU, {took.wall('window'):.2f} s wall; "
            f"errors p95 {error / 1e3:.1f} us, {covered:.2%} of the bounds hold"
        )
    return seconds


def _window(made: fleet.World) -> int:
    return int(fleet.solved(made).rows.num_rows)


def main() -> int:
    """Run all; 0 means that it ran, not that the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=EVENTS, help=f"events to match ({EVENTS:,})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each comparison ({ROUNDS})")
    parser.add_argument("--give-back", action="store_true", help="let glibc give freed memory back at once")
    arguments = parser.parse_args()
    keep = bool if arguments.give_back else keep_freed
    print(f"freed memory is {'kept' if keep() else 'given back'} between calls")
    goals = [*matching(arguments.events, arguments.rounds, keep), *histograms(arguments.rounds)]
    seconds = clocks()
    for name, ratio, target in goals:
        report(name, ratio, target, at_least=True)
    for name, taken in seconds.items():
        report(f"{name}-of-50-hosts", taken / SECONDS, 1.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
