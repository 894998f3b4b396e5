# SPDX-License-Identifier: Apache-2.0
"""The brakes on stand-ins for capture, orders and clock: who stops, who thins, who comes first."""

from types import SimpleNamespace

import pytest

from agent.brakes.brakes import FIRST_PAUSE_SECONDS, Brakes, Means
from agent.brakes.budget import SpentFile
from agent.brakes.kernel_time import KernelTime
from agent.brakes.settings import BrakesSection
from agent.control import heartbeat
from agent.delivery.outstanding import Outstanding
from agent.kernel.errors import KernelUnfitError
from agent.ledger import Ledger
from agent.pack import Clock, Identity
from common.units import ByteSize
from schemas.order import Order, newest

FULL = (65_536, 65_536)


class Host:
    """A host whose agent costs and sees what a test says, second by second."""

    def __init__(self, tmp_path, **section):
        self.now, self.cpu, self.attempts, self.sampled = 1000.0, 0.0, 0, 0
        self.on, self.attached, self.sampling = False, 0, []
        self.orders, self.number, self.record_bytes = [], 0, 0
        self.capture, self.unfit = self, False
        self.off = tmp_path / "off"
        section = {"max_cpu_percent": 0.0, **section}
        means = Means(
            self, self, self, lambda: self.cpu, KernelTime(self.refused), SpentFile(tmp_path / "spent")
        )
        self.brakes = Brakes(BrakesSection(off_file=self.off, **section), means, lambda: self.now)
        self.brakes.begin(self.now)

    def attach(self):
        if self.unfit:
            raise KernelUnfitError("no memory")
        self.on, self.attempts, self.sampled = True, 0, 0
        self.attached += 1

    def detach(self):
        self.on = False

    def sample(self, *rates):
        self.sampling.append(rates)

    def counters(self):
        return SimpleNamespace(attempts=self.attempts, sampled=self.sampled, run_time_ns=0, run_cnt=0)

    def refused(self):
        raise PermissionError

    def catch_up(self, seconds):
        self.poll()

    def poll(self):
        self.number = max((one.number for one in self.orders), default=0)

    def order(self, now_ns):
        return newest(self.orders, "alpha", now_ns)

    def close(self):
        pass

    def seconds(self, count, *, events=0, cpu=0.0):
        """Let time pass; the share kept is what was asked for last."""
        told = []
        for _ in range(int(count)):
            self.now += 1.0
            if self.on:
                share = self.sampling[-1][0] / 65_536 if self.sampling else 1.0
                self.attempts += events
                self.sampled += round(events * (1 - share) ** 2)
                self.cpu += cpu
            told.append(self.brakes.tick(self.now))
        return told


def order(number, action="stop", **more):
    return Order(1, number, ("al*",), action, number, why="because", by="ada", **more)


def test_without_limits_nothing_is_ever_sampled(tmp_path):
    host = Host(tmp_path)
    host.seconds(100, events=10**6, cpu=1.0)
    assert (host.sampling, host.brakes.standing.state) == ([], "tracing")


def test_it_looks_once_a_second(tmp_path):
    host = Host(tmp_path)
    host.seconds(1)
    host.off.touch()
    assert not host.brakes.tick(host.now + 0.99)
    assert host.on
    assert host.brakes.tick(host.now + 1.0)
    assert not host.on


def test_too_many_events_are_thinned_and_the_heartbeat_says_so(tmp_path):
    host = Host(tmp_path, max_events_per_second=100)
    host.seconds(60, events=1000)
    standing = host.brakes.standing
    assert host.sampling[-1] == (standing.connection_rate, standing.block_rate) < FULL
    assert standing.rate_changes == len(host.sampling) >= 1
    assert (standing.state, standing.why) == ("tracing", "max-events-per-second")
    host.seconds(60, events=1)
    assert host.sampling[-1] == FULL
    assert host.brakes.standing.why == ""


def test_a_file_comes_before_an_order_and_both_are_told(tmp_path):
    host = Host(tmp_path)
    host.orders.append(order(7))
    assert host.seconds(1) == [True]
    assert host.brakes.standing[3:] == ("stopped", "order of ada: because", 7)
    host.off.write_text("mine")
    host.seconds(1)
    assert host.brakes.standing.why == f"file {host.off}: mine"
    host.orders.append(order(8, "start"))
    assert host.seconds(1) == [True], "an order that changes nothing is acknowledged too"
    assert host.brakes.standing[3:] == ("stopped", f"file {host.off}: mine", 8)
    host.off.unlink()
    assert host.seconds(1) == [True]
    assert host.brakes.standing[3:] == ("tracing", "", 8)
    assert host.attached == 2


def test_an_order_ends_with_its_time(tmp_path):
    host = Host(tmp_path)
    host.orders.append(order(7, until_ns=int((host.now + 5) * 1e9)))
    host.seconds(4)
    assert not host.on
    host.seconds(1)
    assert host.on


def test_an_order_that_is_there_at_the_start_keeps_it_off(tmp_path):
    (tmp_path / "off").touch()
    host = Host(tmp_path)
    assert (host.on, host.attached, host.brakes.standing.state) == (False, 0, "stopped")


def test_the_share_outlives_a_stop(tmp_path):
    """The kernel keeps to the rates that hold (Capture.sample), and so does the heartbeat."""
    host = Host(tmp_path, max_events_per_second=100)
    host.seconds(30, events=1000)
    thinned = host.brakes.standing[:2]
    host.off.touch()
    host.seconds(100)
    host.off.unlink()
    host.seconds(2, events=1000)
    assert host.brakes.standing[:2] == thinned != FULL


def test_it_lets_go_where_thinning_does_not_help_and_tries_again_ever_later(tmp_path):
    """The agent costs half a core whatever it keeps."""
    host = Host(tmp_path, max_cpu_percent=2.0)
    pauses, off = [], 0
    for _ in range(1000):
        host.seconds(1, events=10, cpu=0.5)
        if host.on and off:
            pauses.append(off)
        off = 0 if host.on else off + 1
        if off:
            assert host.brakes.standing.why.startswith("max-cpu-percent: missed by far")
    assert pauses[:3] == pytest.approx([FIRST_PAUSE_SECONDS * n for n in (1, 2, 4)], abs=2)
    assert host.sampling[-1] == (8, 8)
    host.seconds(1000, events=10, cpu=0.001)
    assert host.on
    assert host.sampling[-1] == FULL


def test_a_kernel_that_takes_the_programs_no_more_is_asked_again_later(tmp_path):
    """The agent runs on meanwhile, and says why it does not trace."""
    host = Host(tmp_path)
    host.off.touch()
    host.seconds(1)
    host.unfit = True
    host.off.unlink()
    host.seconds(2)
    assert host.brakes.standing.state == "stopped"
    assert host.brakes.standing.why.startswith("cannot attach: no memory; again after 60 s")
    host.unfit = False
    host.seconds(FIRST_PAUSE_SECONDS - 5)
    assert not host.on
    host.seconds(5)
    assert host.on


def test_a_spent_day_keeps_nothing_until_midnight(tmp_path):
    host = Host(tmp_path, max_bytes_per_day=ByteSize(1000))
    host.record_bytes = 2000
    host.seconds(2, events=10)
    assert host.sampling == [(0, 0)]
    host.now = 86_400.0
    host.seconds(120, events=10)
    assert host.sampling[-1] == FULL


def test_what_was_spent_is_kept_at_the_end(tmp_path):
    host = Host(tmp_path, max_bytes_per_day=ByteSize(10**9))
    host.record_bytes = 2000
    host.brakes.close()
    again = Host(tmp_path, max_bytes_per_day=ByteSize(1500))
    again.seconds(2)
    assert again.sampling == [(0, 0)]


def test_a_folder_that_cannot_be_written_costs_a_warning_only(tmp_path, capsys):
    (tmp_path / "file").touch()
    host = Host(tmp_path / "file", max_bytes_per_day=ByteSize(10**9))
    host.seconds(2)
    assert "bytes of the day are not kept" in capsys.readouterr().out


def test_the_heartbeat_carries_the_standing(tmp_path):
    host = Host(tmp_path)
    host.orders.append(order(7, "stop"))
    host.seconds(1)
    beat = heartbeat(
        Identity("alpha", "boot", 1, 1), 0, Clock(1, 1), Ledger(), Outstanding(), agent="1", final=False
    )
    found = host.brakes.standing._replace(why="x" * 999).on(beat)
    assert (found.state, found.order, found.why, found.host) == ("stopped", 7, "x" * 256, "alpha")


def test_limits_change_while_it_runs(tmp_path):
    """A new limit thins from then on, a looser one and none at all give everything back."""
    host = Host(tmp_path)
    host.seconds(15, events=1000)
    assert host.sampling == []
    host.brakes.change(BrakesSection(off_file=host.off, max_cpu_percent=0.0, max_events_per_second=100))
    host.seconds(15, events=1000)
    assert host.brakes.standing.why == "max-events-per-second"
    thinned = host.sampling[-1]
    assert thinned < FULL
    host.brakes.change(BrakesSection(off_file=host.off, max_cpu_percent=0.0, max_events_per_second=200))
    assert host.brakes.standing.why == "max-events-per-second"
    host.seconds(15, events=1000)
    assert thinned < host.sampling[-1] < FULL
    host.brakes.change(BrakesSection(off_file=host.off, max_cpu_percent=0.0))
    assert host.sampling[-1] == FULL
    assert host.brakes.standing.why == ""


def test_the_days_bytes_change_while_it_runs(tmp_path):
    """What was spent under the old allowance counts under the new one."""
    host = Host(tmp_path, max_bytes_per_day=ByteSize(10**9))
    host.record_bytes = 10**6
    host.seconds(3, events=1000)
    less = BrakesSection(off_file=host.off, max_cpu_percent=0.0, max_bytes_per_day=ByteSize(10**6))
    host.brakes.change(less)
    host.seconds(3, events=1000)
    assert host.brakes.standing.why == "max-bytes-per-day: spent"
