# SPDX-License-Identifier: Apache-2.0
"""The article's own meaning, by real hooks: a thread's tcp_sendmsg to the next tcp_v4_do_rcv in it."""

import pytest

from agent.kernel.entries import DO_RCV, SENDMSG, Entries
from agent.live import article
from support import traffic


@pytest.fixture(scope="module")
def entries(backend):
    """Both functions hooked by the backend's means."""
    entries = Entries(("kprobe",) if backend == "kprobe" else ("fentry",))
    entries.start()
    yield entries
    assert entries.stop() == 0


def test_this_kernel_offers_both_means():
    assert article.offers() == ["fentry", "kprobe"]
    assert article.reason() is None


def test_each_send_is_an_entry_and_its_packet_stops_the_clock(network, worker, entries):
    """Over veth the packet is received within the call that sends it, by the sending thread."""
    calls = worker.run(traffic.echo, network, 20, 300)
    sends = [call for call in calls if call.kind == "send"]
    last, hits, times, clocks = max(call.after_ns for call in calls), [], [], article.Clocks()
    while not hits or hits[-1][0] < last:
        found = entries.hits(10)
        times += clocks.take(found)
        hits += found.tolist()
        worker.run(traffic.echo, network, 1, 10)  # something later than what is waited for
    mine = [hit for hit in hits if hit[1] == worker.pid and hit[0] <= last]
    assert [hit[3] for hit in mine].count(SENDMSG) == len(sends)
    assert [hit[3] for hit in mine].count(DO_RCV) > 0
    assert {hit[4] for hit in mine} == {b"python"}
    within = [one for one in times if one.tid == worker.pid and one.sent_ns <= last]
    assert within
    for one in within:
        call = next(call for call in sends if call.before_ns <= one.sent_ns <= call.after_ns)
        assert one.tcp_time_ns <= last - call.before_ns
