# SPDX-License-Identifier: Apache-2.0
"""Ten thousand connections of a few milliseconds, ended in every way: each is told of, with all it moved.

A port may serve several connections one after the other, so ends are compared as multisets of ports and sums.
"""

from collections import Counter

import numpy as np
import pytest

from agent.kernel.capture import Capture, CaptureSettings
from agent.kernel.counters import HOOK_NAMES
from schemas.event import Flag, Kind
from schemas.key import FIXED_KEY, connection_name
from support.matching import answer, audits
from support.netns import VethPair
from support.short import Ending, short_lived
from support.sums import by_end, ends
from support.trace import Tracer
from support.worker import Worker

CONNECTIONS, AT_ONCE = 10_000, 24


@pytest.fixture(scope="module")
def host():
    with VethPair() as network:
        network.a.sysctl("net.ipv4.ip_local_port_range", "1024 65000")
        yield network.a


@pytest.fixture(scope="module")
def storm(host):
    """Return both ends by the programs' own counts, the trace, the capture's counters and the process."""
    capture = Capture(CaptureSettings(netns=(host.inode,), ring_pages=1024, lives=True))
    capture.start()
    tracer = Tracer(capture)
    with Worker() as worker:
        answered = worker.start(short_lived, host, CONNECTIONS, AT_ONCE)
        trace = tracer.follow(lambda: worker.busy)
        sides, pid = answered(), worker.pid
    trace += tracer.take()
    final = capture.stop()
    assert tracer.missing == 0
    return sides, trace, final, pid


def test_every_end_has_its_facts_and_all_its_sends_and_reads(storm):
    sides, trace, _, pid = storm
    assert len(sides) == 2 * CONNECTIONS
    found, truth = Counter(end[1:] for end in by_end(trace)), Counter(tuple(side) for side in sides)
    assert found == truth, f"{(found - truth).total()} ends wrong: {list((found - truth).items())[:3]}"
    called = trace.events[np.isin(trace.events["kind"], (Kind.SEND, Kind.RECEIVE, Kind.CONNECT))]
    assert set(called["tgid"].tolist()) == {pid}


def test_a_connection_has_one_name_and_two_ends(storm):
    _, trace, *_ = storm
    facts = ends(trace)
    told = zip(*(facts[field].tolist() for field in ("iss", "irs", "role")), strict=True)
    names = [connection_name(FIXED_KEY, iss, irs, passive=role == 2) for iss, irs, role in told]
    assert len({name.connection for name in names}) == CONNECTIONS
    assert len(set(names)) == 2 * CONNECTIONS
    assert Counter(facts["role"].tolist()) == {1: CONNECTIONS, 2: CONNECTIONS}


def test_every_send_is_matched(host, storm):
    sides, trace, *_ = storm
    found = answer(trace, (host,))
    sends = sum(side.sends for side in sides)
    assert (len(found.matches), found.unmatched) == (sends, []), f"{len(found.matches)} of {sends}"


def test_every_end_is_told_with_the_kernels_bytes(host, storm):
    """Those that each side had sent and got when TCP was done with it; events hold all of them."""
    sides, trace, final, _ = storm
    ports = {
        (row["iss"], row["irs"]): (int(row["local_port"]), int(row["remote_port"]))
        for row in trace.connections
    }
    told = Counter(
        (*ports[row["iss"], row["irs"]], int(row["sent_bytes"]), int(row["received_bytes"]))
        for row in trace.totals
    )
    truth = Counter((side.local_port, side.remote_port, side.sent, side.read) for side in sides)
    complete = audits(trace, (host,))["COMPLETE"]
    skipped = _skipped(final)
    assert not told - truth, list((told - truth).items())[:3]
    assert (truth - told).total() <= skipped, f"{(truth - told).total()} ends untold, {skipped} skipped"
    assert 2 * CONNECTIONS - complete <= skipped, f"{complete} accounts complete, {skipped} skipped"


def test_every_event_and_fact_is_accounted_for(storm):
    sides, trace, final, _ = storm
    hooks, facts = final.counters.hooks, final.counters.facts
    assert not final.records
    assert {name: hooks[name].unaccounted for name in HOOK_NAMES} == dict.fromkeys(HOOK_NAMES, 0), hooks
    assert (facts.unaccounted, facts.lost, final.counters.lost, final.counters.residual) == (0, 0, 0, 0), (
        facts
    )
    assert final.counters.delivered == len(trace.events)
    assert facts.delivered == len(trace.connections) + len(trace.tasks) + len(trace.totals)
    kinds = Counter(trace.events["kind"].tolist())
    sends, reads = (sum(getattr(side, name) for side in sides) for name in ("sends", "reads"))
    assert (kinds[Kind.SEND], kinds[Kind.RECEIVE]) == (sends, reads), kinds
    lives = kinds[Kind.CONNECT] + kinds[Kind.CLOSE]
    assert 0 <= 3 * CONNECTIONS - lives <= _skipped(final), f"{kinds}, {hooks['state']}"


def test_only_reads_that_an_end_met_lack_the_end_of_their_call(storm):
    """Where the peer's RST or FIN is handled between the copy and the return, the copy is the read's time."""
    _, trace, *_ = storm
    marked = trace.events[trace.events["flags"] & Flag.NO_CALL != 0]
    closed = {(row["iss"], row["irs"]): int(row["time_ns"]) for row in trace.totals}
    assert all(int(row["time_ns"]) <= closed[row["iss"], row["irs"]] for row in marked)
    assert len(marked) < CONNECTIONS // len(Ending)


def _skipped(final):
    """Return what interrupts in the programs' way may have cost of openings and ends: all that is counted."""
    state = final.counters.hooks["state"]
    return state.misses + state.nested + final.counters.facts.nested
