# SPDX-License-Identifier: Apache-2.0
"""Counters of all CPUs add up to one account per hook."""

import numpy as np

from agent.kernel.counters import HEAD_DTYPE, HOOK_NAMES, ProgramStats, add_up


def heads(cpus):
    return np.zeros((len(HOOK_NAMES), cpus), HEAD_DTYPE)


def test_cpus_are_summed_hooks_are_not():
    table = heads(3)
    table["events"]["attempts"][0] = [1, 2, 3]
    table["events"]["submitted"][0] = [1, 1, 1]
    table["events"]["lost"][0] = [0, 1, 0]
    table["events"]["nested"][0] = [0, 0, 1]
    table["event_count"][0] = [0, 0, 1]
    table["events"]["attempts"][1] = [5, 0, 0]
    table["calls"][0] = [1, 2, 2]
    counters = add_up(table, {})
    send = counters.hooks["send"]
    assert (send.attempts, send.delivered, send.lost, send.nested, send.residual) == (6, 3, 1, 1, 1)
    assert send.unaccounted == 0
    assert counters.hooks["receive"].unaccounted == 5
    assert (counters.attempts, counters.sends) == (11, 5)


def test_facts_are_an_account_of_their_own():
    table = heads(2)
    table["facts"]["attempts"][2] = [4, 1]
    table["facts"]["submitted"][2] = [3, 1]
    table["fact_count"][2] = [1, 0]
    counters = add_up(table, {})
    assert (counters.facts.attempts, counters.facts.delivered, counters.facts.residual) == (5, 4, 1)
    assert counters.attempts == 0


def test_misses_belong_to_the_hook_of_their_program():
    counters = add_up(
        heads(1),
        {
            "a": ("send", ProgramStats(2, 10, 1)),
            "b": ("send", ProgramStats(3, 20, 2)),
            "c": ("state", ProgramStats(5, 0, 0)),
        },
    )
    assert (counters.hooks["send"].misses, counters.hooks["state"].misses, counters.misses) == (5, 5, 10)
    assert (counters.run_time_ns, counters.run_cnt) == (30, 3)
