# SPDX-License-Identifier: Apache-2.0
"""What the roll-up is told: `[consumer.rollup]`."""

from typing import Annotated

from msgspec import Meta

from common.config import Settings
from common.units import Duration
from lake.settled import Waits

_LEAST = Duration.parse("1s")
_AROUND = Duration.parse("1m")
"""The clocks of a window are solved with so much around it."""


class RollupSettings(Settings, frozen=True):
    """The table `[consumer.rollup]`."""

    every: Annotated[
        Duration,
        Meta(description="Time between two rounds of roll-up beside a consumer that follows; 0 is off"),
    ] = Duration.parse("1m")
    margin: Annotated[
        Duration,
        Meta(description="Time to which a window waits for what is late, beyond `consumer.horizon`"),
    ] = Duration.parse("15s")
    metrics_listen: Annotated[
        str,
        Meta(description="host:port, or a port on 127.0.0.1, for /metrics of `rollup --every`; empty is off"),
    ] = ""

    def __post_init__(self) -> None:
        """Refuse rounds without a pause."""
        if 0 < self.every < _LEAST:
            raise ValueError(f"every: found {self.every}; allowed is 0 or {_LEAST} or more")

    def waits(self, horizon: Duration, peer_wait: Duration) -> Waits:
        """Return how long a window waits for what is open and for clocks around it, and the longest."""
        behind = max(horizon, _AROUND).nanoseconds + self.margin.nanoseconds
        return Waits(behind, peer_wait.nanoseconds + behind)
