# SPDX-License-Identifier: Apache-2.0
"""Looks at a lake again (`wirelag rematch`) for tests, in children that can be killed or halted at a point.

`python -m support.rematch_runner` reads one JSON job a line and forks a child for each, so that imports are
paid once. It answers with the child's process id at once, at the end with its exit code, negative for a
signal.
"""

import os
import signal

from consumer.late.publish import publisher
from consumer.late.rematch import Rematch
from consumer.publish.kafka import Sender
from lake.late import Late
from support.jobs import serve
from support.kafka import QUICK

WINDOW_NS = 60 * 10**9


def main() -> None:
    """Serve jobs until standard input ends."""
    serve("rematch", _look)


def _look(job: dict[str, str]) -> None:
    def trace(point: str) -> None:
        if point == job["point"]:
            os.kill(os.getpid(), signal.SIGSTOP if job["how"] == "halt" else signal.SIGKILL)

    looks = Rematch(Late.open(job["lake"], trace=trace), WINDOW_NS)
    if job.get("topic"):
        looks.publish = publisher(Sender({"bootstrap.servers": job["bootstrap"], **QUICK}), job["topic"])
    looks.once()


if __name__ == "__main__":
    main()
