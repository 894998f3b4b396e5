# SPDX-License-Identifier: Apache-2.0
"""A return probe has so many places for sleeping calls: those it has none left for are counted, exactly."""

import pytest

from agent.kernel import probes, source
from agent.kernel.hooks import KPROBE, Hook
from agent.kernel.loader import Program
from support import shared

TEXT = """
BPF_PERCPU_ARRAY(runs, u64, 1);

int kretprobe_tcp_recvmsg(void *ctx)
{
	int zero = 0;
	u64 *count = runs.lookup(&zero);

	if (count)
		(*count)++;
	return 0;
}
"""
HOOK = Hook(KPROBE, "tcp_recvmsg:return", "receive")
PLACES, CALLS = 3, 20


@pytest.fixture
def program(monkeypatch):
    monkeypatch.setattr(probes, "_SLEEPERS", PLACES)
    program = Program(TEXT, source.flags({}), source.STUBS, [HOOK.program])
    program.load(HOOK.program, KPROBE)
    program.attach(HOOK)
    yield program
    program.close()


def test_sleeping_calls_beyond_the_places_are_misses(network, worker, program, figures):
    worker.run(shared.sleeping_reads, network, CALLS)
    misses, runs = program._probes.misses()[HOOK.program], program._runs(HOOK.program)
    figures.append(f"{CALLS} sleeping reads, {PLACES} places: {runs} returns seen, {misses} misses")
    assert runs + misses == CALLS
    assert runs >= PLACES
    assert misses
