# SPDX-License-Identifier: Apache-2.0
"""An agent leaves nothing in the kernel, at whatever moment it is killed, and the next one starts anew.

It is stopped (SIGSTOP) before it is killed, so what it held is known to the last descriptor.
"""

import random
import signal
import time

import pytest

from agent.kernel.hooks import JOBS, RAW
from demo.broker import InProcessBroker
from support import traffic
from support.bpf_objects import left, unheld_programs
from support.consumer import wait_for
from support.killable import KillableAgent
from support.netns import VethPair
from support.worker import Worker

pytestmark = pytest.mark.alone  # programs that any agent just loads are in nobody's hand for a moment
KILLS = range(10)
OWN_PROGRAMS = {f"raw_{place}"[:15] for job in JOBS for place in job.ways.get(RAW, ())}
"""The kernel keeps fifteen letters of a program's name."""


@pytest.fixture(scope="module")
def hosts():
    with VethPair() as network:
        yield network


@pytest.fixture(scope="module")
def start(hosts, tmp_path_factory):
    """Return a function that makes an agent, all with one broker."""
    broker = InProcessBroker()
    return lambda: KillableAgent(broker.address, hosts, tmp_path_factory.mktemp("agent"))


@pytest.fixture(scope="module")
def whole(start):
    """Return what an agent holds that traces, and that it was there; the agent ends in good order."""
    with start() as agent:
        agent.await_tracing()
        whole = agent.halt()
        there = left(whole.objects)
        agent.go_on()
        assert agent.end(signal.SIGTERM) == 0, agent.said
        assert agent.temporary == []
    return whole, there


def test_an_agent_that_is_ended_leaves_nothing(whole):
    held, there = whole
    assert there == held.objects, "the control: while it runs, the kernel has all of it"
    assert all(held.of(kind) for kind in ("prog", "map", "link", "btf")), held
    assert held.perf_events > 0
    _assert_gone(held)


@pytest.mark.parametrize("seed", KILLS)
def test_an_agent_that_is_killed_leaves_nothing(hosts, start, whole, seed):
    """At a moment of its start for every other seed, else with traffic under way."""
    chance = random.Random(seed)  # noqa: S311 - the same moments each time
    with start() as agent, Worker() as worker:
        if seed % 2:
            agent.await_tracing()
            worker.start(traffic.storm, hosts, 1, 1_000_000)  # ends with the worker
            time.sleep(chance.uniform(0, 0.2))  # a moment of no meaning
        else:
            agent.await_objects(chance.randint(1, len(whole[0].objects)))
        held = agent.halt()
        assert left(held.objects) == held.objects
        assert agent.end(signal.SIGKILL) == -signal.SIGKILL
        assert agent.temporary == []
    _assert_gone(held)


def _assert_gone(held):
    """Wait until the kernel has freed all, which it does a little after the last descriptor is closed.

    The perf events go with their descriptors; only the map of them could hold them longer, and it is gone.
    """
    wait_for(lambda: not left(held.objects))
    wait_for(lambda: not {name for name, _ in unheld_programs()} & OWN_PROGRAMS)
