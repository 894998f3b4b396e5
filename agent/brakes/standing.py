# SPDX-License-Identifier: Apache-2.0
"""How the brakes stand, for whoever tells of it: heartbeat and status."""

from typing import NamedTuple

import msgspec

from schemas.batch import FULL_RATE
from schemas.control import Heartbeat

TRACING, STOPPED = "tracing", "stopped"
CANNOT_ATTACH = "cannot attach"
"""How the reason begins of an agent that is stopped though nobody and no limit wanted it."""
MOST_WHY = 256


class Standing(NamedTuple):
    """Of one moment; the names are those of the heartbeat."""

    connection_rate: int = FULL_RATE
    block_rate: int = FULL_RATE
    rate_changes: int = 0
    state: str = TRACING
    why: str = ""
    order: int = 0

    def on(self, beat: Heartbeat) -> Heartbeat:
        """Return the heartbeat with this on it."""
        return msgspec.structs.replace(beat, **self._replace(why=self.why[:MOST_WHY])._asdict())
