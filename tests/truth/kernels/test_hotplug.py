# SPDX-License-Identifier: Apache-2.0
"""CPUs go and return while traffic flows: a new ring, a new flush, and all sums as before."""

from pathlib import Path

import pytest

from support import storm, traffic

CPU = 1
MESSAGES = 1_000


@pytest.fixture
def switch():
    """Return a function that takes the CPU away (False) and brings it back (True)."""
    file = Path(f"/sys/devices/system/cpu/cpu{CPU}/online")
    yield lambda on: file.write_text(str(int(on)), encoding="ascii")
    file.write_text("1", encoding="ascii")


def _plan(switch, changes, cycles):
    """Return a function that makes the next change whenever it was called so many times."""
    left, calls = list(changes), [0]

    def meanwhile():
        calls[0] += 1
        if left and calls[0] % cycles == 0:
            for on in left.pop(0):
                switch(on=on)

    return left, meanwhile


@pytest.mark.parametrize(
    "changes",
    [[[False], [True]], [[False, True]], [[False], [True], [False], [True]]],
    ids=["seen-by-the-agent", "between-two-looks", "twice"],
)
def test_all_is_accounted_for_and_the_cpu_is_seen_again(
    steered, crew, worker, small, switch, changes, figures
):
    left = [None]
    while left:  # a storm may be over too soon
        left, meanwhile = _plan(switch, changes, cycles=3)
        blown = storm.blow(small, crew, steered, MESSAGES, meanwhile=meanwhile)
        switch(on=True)
        assert blown.exact, blown
    figures.append(f"hotplug: {sum(blown.received.values())} events decoded, {blown.lost} lost")
    worker.run(traffic.echo_on, CPU, steered, 300, 10)  # the first batches may find a dead ring
    small.forget()
    before = small.capture.counters()
    calls = worker.run(traffic.echo_on, CPU, steered, 50, 10)
    trace = small.take()
    assert small.capture.counters().lost == before.lost
    for port in {call.port for call in calls}:
        sends = trace.of(port, "send")
        assert set(sends["cpu"].tolist()) == {CPU}
        assert len(sends) == 50
