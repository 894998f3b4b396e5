# SPDX-License-Identifier: Apache-2.0
"""Nine hosts, each with eight peers: better together than along a tree, and no step is smoothed away.

From the real agent's events, with clocks bent afterwards (test_clocks.py). Between namespaces of one kernel
delays are so alike that next to nothing is left to be wrong by, so it is with ways made longer by chance that
both are compared.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from support import bent, corrected, meshed
from support.bent import Bent
from support.clocks import MICRO, SECOND, stepping, wandering
from support.corrected import Caught, Outcome, catch, run
from support.jittered import Jittered
from support.worker import Worker

pytestmark = pytest.mark.kernel
HOSTS = 9
BURSTS = 60
"""In almost three minutes: some twenty messages a minute each way of a pair."""
SEEDS = range(1, 6)
TREE = {frozenset((f"boot-h{number}", f"boot-h{(number - 1) // 2}")) for number in range(1, HOSTS)}
"""Eight of the 36 pairs, which join all."""
SOLVE = corrected.solve_window
STEP_AT, STEP = 31 * SECOND, 300 * MICRO


@pytest.fixture(scope="module")
def caught() -> Iterator[Caught]:
    with meshed.Bridged(HOSTS) as hosts, Worker() as worker:
        yield catch(worker, hosts, None, BURSTS)


def world(caught: Caught, seed: int, step: float = 0.0) -> list[Bent]:
    """Return hosts up to 20 s and 100 ppm apart, the rate of each wandering a little; host 4 may step."""
    rng = np.random.default_rng(seed)
    hosts = []
    for number, host in enumerate(caught.hosts):
        offset, slope = rng.uniform(-10, 10) * SECOND, rng.uniform(-50e-6, 50e-6)
        clock = wandering(offset, slope, 0.05e-6, 60 * SECOND)
        hosts.append(Bent(f"h{number}", host.inode, stepping(clock, STEP_AT, step if number == 4 else 0.0)))
    return hosts


def along_a_tree(begin_ns: int, window_ns: int, clock: pa.Table, reading: pa.Table) -> Any:
    """The control: of all that was heard only the pairs of a tree."""
    ends = zip(clock["sender_boot"].to_pylist(), clock["receiver_boot"].to_pylist(), strict=True)
    kept = pa.array([frozenset(both) in TREE for both in ends])
    return SOLVE(begin_ns, window_ns, clock.filter(kept), reading)


def wrong(out: Outcome) -> bent.I64:
    """Return what latencies are off by; no clock is bent, so all of them are known."""
    assert (out.bound >= 0).all(), out.figures()
    assert out.covered >= 0.999, out.figures()
    return out.wrong


def most(errors: list[bent.I64]) -> float:
    """Return the 95th percentile, us."""
    return float(np.percentile(np.concatenate(errors), 95)) / MICRO


def test_a_mesh_is_right_within_microseconds(caught: Caught) -> None:
    """As captured: hardly any jitter, and hardly any error."""
    assert most([wrong(run(caught, world(caught, seed), seed)) for seed in SEEDS]) < 5


def test_a_mesh_is_twice_as_good_as_a_tree(caught: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 30 us of jitter, and within 5 us with that, too."""
    mesh, tree = [], []
    for seed in SEEDS:
        longer = Jittered(*caught)
        longer.seed = seed
        mesh.append(wrong(run(longer, world(caught, seed), seed)))
        with monkeypatch.context() as control:
            control.setattr(corrected, "solve_window", along_a_tree)
            tree.append(wrong(run(longer, world(caught, seed), seed)))
    assert most(mesh) < 5
    assert most(mesh) <= most(tree) / 2, (most(mesh), most(tree))


def test_a_step_is_told_by_all_eight_peers(caught: Caught) -> None:
    """And what the others say of one another is as right as without."""
    out = run(caught, world(caught, 4, STEP), seed=4)
    assert out.covered >= 0.999, out.figures()
    rows = [row for row in out.rows.to_pylist() if "boot-h4" in (row["first_boot"], row["second_boot"])]
    assert len(rows) == HOSTS - 1
    for row in rows:
        assert (row["status"], row["steps"]) == ("bounded", 1)
        assert row["largest_step_ns"] == pytest.approx(STEP, abs=20 * MICRO)
    own = [name.to_numpy(zero_copy_only=False) == "boot-h4" for name in _ends(out)]
    assert np.percentile(out.wrong[~(own[0] | own[1])], 95) < 5 * MICRO
    rest = [row for row in out.rows.to_pylist() if row not in rows]
    assert {row["steps"] for row in rest} == {0}


def _ends(out: Outcome) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    return out.match["sender_boot"].cast(pa.string()), out.match["receiver_boot"].cast(pa.string())
