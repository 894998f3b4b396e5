# SPDX-License-Identifier: Apache-2.0
"""Whether a service lives and whether it is ready, for `/livez` and `/readyz`. Knows nothing of HTTP."""

import time
from collections.abc import Callable
from typing import NamedTuple

Check = Callable[[], str | None]
"""None when all is well, else what is not. Called by any thread."""


class Health(NamedTuple):
    """The two questions: should it be started anew, and does it do its work."""

    live: Check
    ready: Check

    def trouble(self) -> str | None:
        """Return what is wrong by either."""
        return self.live() or self.ready()


class Pulse:
    """When a working loop last turned. The loop's thread beats, which costs an assignment; any thread asks.

    Args:
        patience: seconds without a turn after which the loop is taken for dead; counted from the
            construction on until the first turn.
        clock: seconds.
    """

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._at = clock()
        self.begun = False
        """Whether the loop turned at all."""

    def beat(self) -> None:
        """The loop turns."""
        self._at = self._clock()
        self.begun = True

    def trouble(self) -> str | None:
        """Return what is wrong: the loop has not turned for too long."""
        silent = self._clock() - self._at
        return f"the loop has not turned for {silent:.0f} s" if silent > self._patience else None
