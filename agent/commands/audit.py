# SPDX-License-Identifier: Apache-2.0
"""The command ``audit``: has the agent of this host compare bytes in events with the kernel's count, now."""

import os
import signal

from agent.commands.options import Config, Overrides, settings_of

AUDIT_SIGNAL = signal.SIGUSR1


def audit(*, config: Config = None, overrides: Overrides = None) -> None:
    """Have every open connection tell its account with its next event, not only every five minutes.

    `wirelag query latency` and `wirelag query connections` show them. Exit 1: no agent runs here.

    Args:
        config: as for run (only agent.runtime-dir is used).
        overrides: as for run.
    """
    from agent.status import running  # noqa: PLC0415 - only where it is needed

    for one in running(settings_of(config, overrides).agent.runtime_dir):
        os.kill(one.pid, AUDIT_SIGNAL)
        print(
            f"asked the agent with pid {one.pid}: each open connection tells its account with its next event"
        )
