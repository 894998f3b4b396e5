# SPDX-License-Identifier: Apache-2.0
"""The article's second program: its own meaning of a time, where a kernel offers the hook."""

import threading

import numpy as np
import pytest

from agent.kernel.entries import DO_RCV, HIT_DTYPE, SENDMSG
from agent.kernel.errors import KernelUnfitError
from agent.live import article
from agent.live.article import Clocks


def hits(*rows):
    return np.array([(at, tid, tid, function, b"app") for at, tid, function in rows], HIT_DTYPE)


def times(found):
    return [(one.tid, one.tcp_time_ns) for one in found]


def test_the_next_packet_in_the_thread_stops_its_clock_and_others_find_none():
    found = Clocks().take(hits((10, 1, SENDMSG), (15, 2, DO_RCV), (30, 1, DO_RCV), (40, 1, DO_RCV)))
    assert times(found) == [(1, 20)]


def test_a_second_send_starts_the_clock_anew():
    assert times(Clocks().take(hits((10, 1, SENDMSG), (20, 1, SENDMSG), (50, 1, DO_RCV)))) == [(1, 30)]


def test_a_clock_goes_on_over_steps():
    clocks = Clocks()
    assert clocks.take(hits((10, 1, SENDMSG))) == []
    assert times(clocks.take(hits((70, 1, DO_RCV)))) == [(1, 60)]


def test_clocks_are_bounded(monkeypatch):
    monkeypatch.setattr(article, "LIMIT", 2)
    clocks = Clocks()
    clocks.take(hits((1, 1, SENDMSG), (2, 2, SENDMSG), (3, 3, SENDMSG)))
    assert times(clocks.take(hits((9, 1, DO_RCV), (9, 2, DO_RCV), (9, 3, DO_RCV)))) == [(2, 7), (3, 6)]


class Played:
    """A backend that plays hits, and counts what was asked of it."""

    def __init__(self, stop):
        self.calls, self._stop = [], stop

    def start(self):
        self.calls.append("start")

    def hits(self, _wait_ms):
        self._stop.set()
        return hits((1000, 7, SENDMSG), (39_000, 7, DO_RCV))

    def stop(self):
        self.calls.append("stop")
        return 3


def test_a_backend_gives_lines_labelled_as_the_articles(capsys):
    stop = threading.Event()
    played = Played(stop)
    article.follow(played, stop, json=False)
    assert played.calls == ["start", "stop"]
    label, line, count = capsys.readouterr().out.splitlines()
    assert "not a message's latency" in label
    assert (line, count) == ("app[7]  tcp_time 38us", "1 times; 3 entries of the two functions lost")


def kprobes(tmp_path):
    (tmp_path / "bus/event_source/devices/kprobe").mkdir(parents=True)
    (tmp_path / "bus/event_source/devices/kprobe/type").write_text("8")
    return tmp_path


def test_a_kernel_without_the_hook_is_told_so(tmp_path):
    with pytest.raises(KernelUnfitError, match="this kernel offers no hook on tcp_v4_do_rcv"):
        article.backend(tmp_path)


def test_a_backend_is_used_once_there_is_one(tmp_path):
    played = Played(threading.Event())
    assert article.backend(kprobes(tmp_path), {"kprobe": lambda: played}) is played


def test_a_traceable_function_is_offered_by_fentry(tmp_path):
    (tmp_path / "kernel/tracing").mkdir(parents=True)
    (tmp_path / "kernel/tracing/available_filter_functions").write_text("tcp_sendmsg\ntcp_v4_do_rcv\n")
    assert article.offers(tmp_path) == ["fentry"]
