# SPDX-License-Identifier: Apache-2.0
"""`python -m consumer.rollup.child`: rounds of roll-up beside a consumer, which starts it (`beside`).

Its first line of input says what to do, then it tells of each round by a line of output. It ends at once when
its input ends, as it does when the consumer is killed: nothing is lost by that, whatever it is doing.
"""

import os
import signal
import sys
import threading
import time
from contextlib import suppress

import msgspec

from common.errors import RuntimeFailure
from consumer.rollup.job import MOST_HOURS, Job
from consumer.rollup.solve import solve_window
from consumer.rollup.told import Order, Said
from lake.rollup import RollUps
from lake.settled import Waits

_KINDER = 10
"""Steps of niceness behind the consumer."""


def main() -> None:
    """Do rounds until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the consumer, too
    with suppress(OSError):
        os.nice(_KINDER)
    order = msgspec.json.decode(sys.stdin.readline(), type=Order)
    threading.Thread(target=_end_with_input, daemon=True).start()
    job: Job | None = None
    while True:
        try:
            job = job or _job(order)
            said = Said(job.round())
        except RuntimeFailure as error:
            said = Said(None, str(error))
        sys.stdout.write(msgspec.json.encode(said).decode() + "\n")
        sys.stdout.flush()
        time.sleep(order.every)


def _job(order: Order) -> Job:
    lake = RollUps.open(order.uri, storage_options=order.storage_options)
    return Job(lake, Waits(order.behind_ns, order.longest_ns), solve_window, most=MOST_HOURS)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
