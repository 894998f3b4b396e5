# SPDX-License-Identifier: Apache-2.0
"""An agent with no more rights than it needs sees all, and one that is killed leaves nothing that runs."""

import time

import pytest

from agent.kernel import perf, probes
from support import captured, traffic
from support.netns import hosts_of
from support.worker import Worker


def _gone(numbers):
    """Wait until the kernel has freed them: it does so when nobody can be in them any more."""
    deadline = time.monotonic() + 60
    while any(captured.exists(*one) for one in numbers) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(captured.exists(*one) for one in numbers)


@pytest.fixture
def rights(backend):
    """Return what runs a program with as little as this kernel and backend let an agent do with."""
    if backend == "kprobe":
        yield ()  # root, for tracefs
        return
    before = perf.PARANOID.read_text(encoding="ascii")
    if int(before) > 2:
        perf.PARANOID.write_text("2", encoding="ascii")
    yield captured.LEAST_RIGHTS
    perf.PARANOID.write_text(before, encoding="ascii")


def test_two_capabilities_are_enough_and_a_kill_leaves_nothing(network, worker, backend, rights, request):
    """Names of kprobes stay, disabled, until the next agent removes them."""
    with Worker(rights) as agent:
        started = agent.start(captured.start, hosts_of(network), backend)
        capture = request.getfixturevalue("capture")  # compiled at the same time
        assert started() == capture.hooks
        calls = worker.run(traffic.echo, network, 5, 100)
        assert agent.run(captured.taken) == len(calls) * 3 // 2
        numbers = captured.held(agent.pid)
        assert {kind for kind, _ in numbers} == {"prog_id", "map_id"}
        assert all(captured.exists(*one) for one in numbers)
    assert _gone(numbers)
    if "kprobes" in capture.hooks:
        _only_names_are_left(agent.pid)


def _only_names_are_left(pid):
    folder = probes.tracefs()
    events = (folder / "kprobe_events").read_text(encoding="ascii").split()
    left = {name for event in events for _, _, name in [event.partition("wirelag/")] if f"_{pid}_" in name}
    assert left
    for name in left:
        assert (folder / "events/wirelag" / name / "enable").read_text(encoding="ascii").strip() == "0"
    assert left <= set(probes.remove_stale(folder))
    kept = (folder / "kprobe_events").read_text(encoding="ascii")
    assert f"_{pid}_" not in kept
    assert "wirelag/" in kept, "those of the running capture stay"
