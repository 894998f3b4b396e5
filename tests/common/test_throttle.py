# SPDX-License-Identifier: Apache-2.0
from common.throttle import Throttle


def test_speaks_once_per_interval_and_tells_how_often_it_was_silent():
    now = [0.0]
    throttle = Throttle(interval=10, clock=lambda: now[0])
    assert throttle.due("full") == 0
    now[0] = 9.9
    assert [throttle.due("full") for _ in range(3)] == [None] * 3
    now[0] = 10
    assert throttle.due("full") == 3
    now[0] = 20
    assert throttle.due("full") == 0


def test_subjects_do_not_silence_one_another():
    throttle = Throttle(clock=lambda: 0.0)
    assert throttle.due("a") == 0
    assert throttle.due("b") == 0
