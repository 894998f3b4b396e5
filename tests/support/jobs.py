# SPDX-License-Identifier: Apache-2.0
"""Jobs of a program, each in a process forked for it, so that a test can stop and kill one by its number."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from common.command import run_command


def serve(name: str, work: Callable[[dict[str, Any]], None]) -> None:
    """Do a job for each line of standard input, a JSON object; answer its process id, then its exit code."""
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(run_command(name, lambda job=job: work(job)))  # type: ignore[misc]
        print(pid, flush=True)  # noqa: T201 - the first answer
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the second
