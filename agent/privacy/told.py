# SPDX-License-Identifier: Apache-2.0
"""What `check` and `doctor` say of privacy."""

import stat
from pathlib import Path

from agent.settings import AgentSettings


def privacy(settings: AgentSettings) -> str:
    """Return what of addresses and names leaves the host.

    Raises:
        ConfigError: the key that it takes is not there, or holds too little.
    """
    settings.veil()
    own = settings.privacy
    said = f"addresses {own.ip_mode}, comm {own.comm}, labels {own.labels}"
    if not own.needs_key or own.key_file is None:
        return f"{said} (ports, pids and host names always are)"
    return f"{said}; key {own.key_file}{readable(own.key_file)}"


def readable(key: Path) -> str:
    """Return what is to be said where others than its owner and group may read a key."""
    return ", which everybody on this host may read: chmod 0400" if key.stat().st_mode & stat.S_IROTH else ""
