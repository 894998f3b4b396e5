# SPDX-License-Identifier: Apache-2.0
"""The roll-up beside a consumer: it works, it is started again, it ends with the consumer, killed or not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.metrics import new_registry
from consumer.rollup.beside import beside
from consumer.rollup.metrics import Metrics
from consumer.rollup.told import Order
from support.consumer import wait_for
from support.kafka import ROOT
from tests.consumer.rollup.brute import stored
from tests.consumer.rollup.made import HOUR, MINUTE, Lake, seeded, some_rows

EVERY = 0.2
PARENT = """
import sys, time
import msgspec
from common.metrics import new_registry
from consumer.rollup.beside import beside
from consumer.rollup.metrics import Metrics
from consumer.rollup.told import Order
with beside(msgspec.json.decode(sys.argv[1], type=Order), Metrics(new_registry())):
    time.sleep(600)
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake", now_ns=time.time_ns())
    assert made.facts
    return made


def order_of(lake: Lake, every: float = EVERY) -> Order:
    return Order(str(lake.path), {}, MINUTE, MINUTE, every)


def put(lake: Lake, hours_ago: int) -> None:
    hour = lake.now_ns // HOUR * HOUR - hours_ago * HOUR
    lake.put(some_rows(seeded(hours_ago), hour, hour + HOUR, 1), lake.now_ns)


def hours(lake: Lake) -> int:
    return len({row["_filed"] for row in stored(lake.facts, "rollup")})


def children(pid: int) -> list[int]:
    found = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for text in found for child in text.split()]


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_rolls_up_is_started_again_and_ends_with_its_block(lake: Lake) -> None:
    metrics = Metrics(new_registry())
    before = set(children(os.getpid()))
    with beside(order_of(lake), metrics):
        put(lake, 3)
        wait_for(lambda: hours(lake) >= 1)
        (child,) = set(children(os.getpid())) - before
        os.kill(child, signal.SIGKILL)
        put(lake, 30)
        wait_for(lambda: hours(lake) >= 2)
        wait_for(lambda: metrics.replaced.labels("hour")._value.get() >= 1)
    assert metrics.rounds.labels("failed")._value.get() == 1
    assert set(children(os.getpid())) <= before
    assert not is_there(child)


def test_a_round_that_fails_is_counted_and_tried_again(lake: Lake, tmp_path: Path) -> None:
    """No lake at first: it says so each time, until there is one."""
    other = Lake(tmp_path / "later", now_ns=lake.now_ns)
    metrics = Metrics(new_registry())
    with beside(order_of(other), metrics):
        wait_for(lambda: metrics.rounds.labels("failed")._value.get() >= 1)
        put(other, 3)
        wait_for(lambda: hours(other) == 1)


def test_it_ends_when_the_consumer_is_killed(lake: Lake) -> None:
    import msgspec  # noqa: PLC0415

    put(lake, 3)
    text = msgspec.json.encode(order_of(lake)).decode()
    parent = subprocess.Popen([sys.executable, "-c", PARENT, text], cwd=ROOT)
    try:
        wait_for(lambda: children(parent.pid) != [])
        (child,) = children(parent.pid)
        wait_for(lambda: hours(lake) >= 1)
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not is_there(child))


def test_without_a_period_nothing_is_started(lake: Lake) -> None:
    before = set(children(os.getpid()))
    with beside(order_of(lake, 0.0), Metrics(new_registry())):
        assert set(children(os.getpid())) <= before
