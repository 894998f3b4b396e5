# SPDX-License-Identifier: Apache-2.0
"""The command ``audit``: has the agent of this host compare bytes in events with the kernel's count, now."""

import os
import signal

from agent.commands.options import Config, Overrides, settings_of
from common.errors import RuntimeFailure

AUDIT_SIGNAL = signal.SIGUSR1


def audit(*, config: Config = None, overrides: Overrides = None) -> None:
    """Have every open connection tell its account with its next event, not only every five minutes.

    `wirelag query latency` and `wirelag query connections` show them. Exit 1: no agent runs here.

    Args:
        config: as for run (only agent.runtime-dir is used).
        overrides: as for run.
    """
    from agent.status import read_all  # noqa: PLC0415 - only where it is needed

    folder = settings_of(config, overrides).agent.runtime_dir
    found = list(read_all(folder))
    if not found:
        raise RuntimeFailure(f"no agent runs on this host (none has a status in {folder})")
    for one in found:
        os.kill(one.pid, AUDIT_SIGNAL)
        print(
            f"asked the agent with pid {one.pid}: each open connection tells its account with its next event"
        )
