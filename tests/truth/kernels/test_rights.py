# SPDX-License-Identifier: Apache-2.0
"""What wants more than CAP_BPF and CAP_PERFMON is told, with its remedy."""

import pytest

from agent.kernel import perf
from support import captured
from support.worker import Worker


@pytest.fixture
def paranoid():
    """Return a function that sets kernel.perf_event_paranoid."""
    before = perf.PARANOID.read_text(encoding="ascii")
    yield lambda level: perf.PARANOID.write_text(str(level), encoding="ascii")
    perf.PARANOID.write_text(before, encoding="ascii")


@pytest.fixture(scope="module")
def nobody():
    """A process that has the two capabilities and nothing else."""
    with Worker(captured.LEAST_RIGHTS) as worker:
        yield worker


def test_perf_events_that_debian_refuses_are_told(nobody, paranoid):
    """Above 2 its kernels, unlike others, want CAP_SYS_ADMIN."""
    paranoid(3)
    told = nobody.run(captured.told, "auto")
    assert told.startswith("perf events are refused (perf_event_open: Permission denied)")
    assert "kernel.perf_event_paranoid is 3: set it to 2" in told
    assert "perf events" in nobody.run(captured.unfit)
    paranoid(2)
    assert "fentry" in nobody.run(captured.told, "auto")
    assert nobody.run(captured.unfit) == []


def test_kprobes_without_root_are_told(nobody, paranoid):
    paranoid(2)
    told = nobody.run(captured.told, "kprobe")
    assert "kprobe is refused: tracefs, through which they are attached, is for root" in told
