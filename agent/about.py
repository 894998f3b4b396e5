# SPDX-License-Identifier: Apache-2.0
"""What an agent says of itself in every heartbeat beside its ledger: settings, kernel, spool, what was left.

Nothing secret: of the settings only a hash of what `wirelag-agent config show` prints, without who the
host is, so that hosts with one configuration tell the same.
"""

import platform
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

from msgspec import structs

from agent.settings import AgentSettings
from agent.spool.limits import Figures
from agent.spool.record import Run
from common.config import render
from schemas.control import MAX_LEFT, Heartbeat, Left, Reading

_HASH_BYTES = 6
_MOST_RELEASE = 128


class About(NamedTuple):
    """What does not change while an agent runs."""

    config: str
    kernel: str

    def on(
        self,
        beat: Heartbeat,
        *,
        backend: str,
        spool: Figures | None,
        now_ns: int,
        left: Mapping[tuple[Run, str], int],
        readings: tuple[Reading, ...] = (),
    ) -> Heartbeat:
        """Return the heartbeat with this and what is so now on it; ``now_ns`` is realtime."""
        spool = spool or Figures()
        age = 0 if spool.oldest_ns is None else max(0, now_ns - spool.oldest_ns)
        of_others = [Left(run.boot, run.epoch, why, events) for (run, why), events in left.items() if events]
        return structs.replace(
            beat,
            config=self.config,
            kernel=self.kernel,
            backend=backend,
            spool_records=spool.records,
            spool_bytes=spool.bytes,
            spool_oldest_ns=age,
            left=tuple(of_others[:MAX_LEFT]),
            readings=readings,
        )


def about(settings: AgentSettings) -> About:
    """Return what this agent says of itself."""
    return About(config_id(settings), platform.release()[:_MOST_RELEASE])


def config_id(settings: AgentSettings) -> str:
    """Return a name of the settings in force: equal where all but host name, user and secrets are."""
    own = settings.kafka.security
    # What is set stays set: sections refuse halves of what belongs together.
    security = structs.replace(own, username=own.username and "user", client_id=own.client_id and "client")
    unnamed = structs.replace(
        settings,
        agent=structs.replace(settings.agent, host_name=""),
        kafka=structs.replace(settings.kafka, security=security),
    )
    return blake2b(render(unnamed).encode(), digest_size=_HASH_BYTES).hexdigest()
