# SPDX-License-Identifier: Apache-2.0
"""The life of a connection against what the application and the kernel's own counters say of it."""

import errno
from collections.abc import Iterator

import numpy as np
import pytest

from agent.decode import KIND_TOTALS
from agent.kernel.capture import Capture, CaptureSettings
from schemas.event import Flag, Kind
from support import lives
from support.netns import hosts_of
from support.trace import Tracer


@pytest.fixture(scope="module")
def watcher(network) -> Iterator[Tracer]:
    """A capture that tells of lives too."""
    capture = Capture(CaptureSettings(netns=hosts_of(network), ring_pages=256, lives=True))
    capture.start()
    try:
        yield Tracer(capture)
    finally:
        capture.stop()


def _of(trace, kind, port):
    fact = trace.connection(port)
    events = trace.events[trace.events["kind"] == kind]
    return events[(events["iss"] == fact["iss"]) & (events["irs"] == fact["irs"])]


def _totals(trace, port):
    """Return the totals of the end at a port, which its close event names by its time."""
    (close,) = _of(trace, Kind.CLOSE, port)
    found = trace.totals[trace.totals["time_ns"] == close["time_ns"]]
    (totals,) = found[found["sock"] == close["sock"]]
    assert totals["kind"] == KIND_TOTALS
    return close, totals


def test_a_connect_tells_who_opened_and_how_long_it_took(network, worker, watcher):
    truth = worker.run(lives.conversation, network, 3_000, 200)
    trace = watcher.take()
    (connect,) = _of(trace, Kind.CONNECT, truth.client)
    assert truth.before_ns <= connect["time_ns"]
    assert connect["time_ns"] + connect["duration_ns"] <= truth.connected_ns
    assert (connect["length"], connect["position"], connect["flags"]) == (0, 0, 0)
    assert connect["tgid"] == worker.pid
    assert not len(_of(trace, Kind.CONNECT, truth.server)), "only the opener tells"


def test_closes_tell_the_bytes_of_both_ends(network, worker, watcher):
    truth = worker.run(lives.conversation, network, 3_000, 200)
    trace = watcher.take()
    for port, sent, read in ((truth.client, 3_000, 200), (truth.server, 200, 3_000)):
        close, totals = _totals(trace, port)
        assert (close["position"], totals["sent_bytes"], totals["read_bytes"]) == (sent, sent, read)
        assert totals["received_bytes"] == read
        assert close["flags"] == 0
        assert (totals["base_sent"], totals["base_read"], totals["retransmits"]) == (0, 0, 0)
        assert totals["min_rtt_us"] > 0
        assert totals["sent_segments"] >= 2
        assert close["duration_ns"] > 0


def test_what_was_never_read_is_told_apart(network, worker, watcher):
    truth = worker.run(lives.unread, network, 5_000, 1_200)
    _, totals = _totals(watcher.take(), truth.server)
    assert (totals["received_bytes"], totals["read_bytes"]) == (5_000, 1_200)


def test_a_reset_is_an_aborted_close(network, worker, watcher):
    truth = worker.run(lives.reset, network)
    trace = watcher.take()
    assert _totals(trace, truth.client)[0]["flags"] & Flag.ABORTED
    assert _totals(trace, truth.server)[0]["flags"] & Flag.ABORTED


def test_a_refused_connect_says_why(network, worker, watcher):
    port = worker.run(lives.refused, network)
    (connect,) = _of(watcher.take(), Kind.CONNECT, port)
    assert connect["flags"] & Flag.FAILED
    assert connect["length"] == errno.ECONNREFUSED


def test_a_connect_that_nobody_answers_counts_its_syns(network, worker, watcher):
    port, syns = worker.run(lives.unanswered, network)
    (connect,) = _of(watcher.take(), Kind.CONNECT, port)
    assert connect["flags"] & Flag.FAILED
    assert (connect["length"], connect["position"]) == (errno.ETIMEDOUT, syns - 1)


def test_segments_sent_again_are_told_with_their_bytes(network, worker, watcher):
    with lives.dropping(network.b, every=9):
        truth = worker.run(lives.conversation, network, 400_000, 10)
    trace = watcher.take()
    again = _of(trace, Kind.RETRANSMIT, truth.client)
    _, totals = _totals(trace, truth.client)
    assert len(again) > 0
    assert int(again["length"].sum()) == int(totals["retransmitted_bytes"])
    assert int(np.max(again["position"] + again["length"])) <= 400_000
    assert len(again) <= int(totals["retransmits"]), "one event may be of several segments"


def test_a_connection_older_than_the_capture_has_its_account_from_then_on(network, worker):
    truth = worker.run(lives.begin, network, 700)
    capture = Capture(CaptureSettings(netns=hosts_of(network), lives=True))
    capture.start()
    try:
        tracer = Tracer(capture)
        worker.run(lives.end, 300)
        trace = tracer.take()
    finally:
        capture.stop()
    close, totals = _totals(trace, truth.client)
    assert close["flags"] & Flag.OLDER
    assert close["duration_ns"] == 0
    assert (totals["base_sent"], totals["sent_bytes"]) == (700, 1_000)


def test_an_open_connection_tells_its_account_when_it_is_announced_again(network, worker, watcher):
    truth = worker.run(lives.begin, network, 700)
    watcher.forget()
    watcher.capture.reannounce_all()
    worker.run(lives.end, 300)
    trace = watcher.take()
    accounts = _of(trace, Kind.CLOSE, truth.client)
    assert [bool(one["flags"] & Flag.OPEN) for one in accounts] == [True, False]
    assert [int(one["position"]) for one in accounts] == [700, 1_000]
    open_totals = trace.totals[trace.totals["state"] == 0]
    assert int(open_totals["sent_bytes"][open_totals["time_ns"] == accounts[0]["time_ns"]][0]) == 700


def test_a_passed_socket_keeps_its_opener(network, worker, watcher):
    truth = worker.run(lives.passed, network)
    trace = watcher.take()
    assert trace.connection(truth.client)["opener_tgid"] == worker.pid
    senders = set(trace.events["tgid"][trace.events["kind"] == Kind.SEND].tolist())
    assert truth.user in senders
    assert worker.pid not in senders


def test_an_accepted_socket_was_opened_by_who_listens(network, worker, watcher):
    truth = worker.run(lives.conversation, network, 10, 10)
    fact = watcher.take().connection(truth.server)
    assert (fact["opener_tgid"], bytes(fact["opener_comm"])) == (worker.pid, b"python")


def test_lives_balance_with_the_kernels_counts(network, worker):
    capture = Capture(CaptureSettings(netns=hosts_of(network), lives=True))
    capture.start()
    worker.run(lives.many, network, 300)
    tracer = Tracer(capture)
    trace = tracer.take()
    counters = capture.stop().counters
    assert all(hook.unaccounted == 0 for hook in counters.hooks.values())
    kinds = trace.events["kind"]
    missed = counters.nested + counters.misses + counters.lost
    assert 0 <= 300 - int((kinds == Kind.CONNECT).sum()) <= missed
    assert 0 <= 600 - int((kinds == Kind.CLOSE).sum()) <= missed
