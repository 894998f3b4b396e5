# SPDX-License-Identifier: Apache-2.0
"""No event is lost silently: every attempt is delivered, lost, nested or left, whatever the storm."""

import os

import pytest

from support import storm

MESSAGES = 400 if os.environ.get("WIRELAG_TEST_BACKEND") else 4_000
"""Under emulation everything takes its time."""


def test_every_event_of_a_storm_is_accounted_for(steered, crew, small):
    """All CPUs busy, and a flush as fast as one thread without a CPU of its own can."""
    blown = storm.blow(small, crew, steered, MESSAGES)
    assert blown.exact, blown
    assert blown.hooks["state"].attempts == 0


def test_rings_that_are_not_read_lose_and_say_how_much(steered, crew, small, figures):
    blown = storm.blow(small, crew, steered, MESSAGES, read=False)
    assert blown.exact, blown
    assert blown.lost > sum(blown.received.values()) / 2
    figures.append(f"rings not read: {blown.lost} events lost, {sum(blown.received.values())} decoded")


@pytest.mark.parametrize("read", [True, False], ids=["read", "not-read"])
def test_attempts_and_misses_are_the_applications_own_calls(steered, crew, small, figures, read):
    blown = storm.blow(small, crew, steered, MESSAGES, read=read)
    for name, calls in (("send", blown.sent), ("receive", blown.read)):
        hook = blown.hooks[name]
        figures.append(f"{name}: {calls} calls, {hook.attempts} attempts, {hook.misses} counted misses")
        assert hook.attempts <= calls
        assert hook.attempts + hook.misses >= calls
        assert hook.calls == hook.attempts


def test_runs_that_the_kernel_skips_are_counted(steered, crew, small, figures):
    """Reading a map keeps kprobes of that CPU from running: kernels before 6.7 say nothing of it."""

    def distract():
        for _ in range(50):
            small.capture.counters()

    blown = storm.blow(small, crew, steered, MESSAGES, meanwhile=distract)
    assert blown.exact, blown
    for name, calls in (("send", blown.sent), ("receive", blown.read)):
        assert blown.hooks[name].attempts + blown.hooks[name].misses >= calls
    misses = {name: hook.misses for name, hook in blown.hooks.items()}
    figures.append(f"{small.capture.hooks}; with maps read all the time, misses {misses}")
