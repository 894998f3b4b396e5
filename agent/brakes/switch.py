# SPDX-License-Identifier: Apache-2.0
"""Attaches and detaches the capture within one run of the agent.

The run goes on: same epoch, sequences and totals continue, though the kernel counts from 0 again. Nothing
that was captured is dropped: it is handed over before ``detach`` returns.
"""

import gc

from agent.kernel.counters import Counters
from agent.loop import Loop, Parts

YOUNG_OBJECTS = 20_000
"""Between two collections: a turn makes many short-lived tuples and no cycles."""


class Switch:
    """Holds the capture's on and off."""

    def __init__(self, parts: Parts, loop: Loop) -> None:
        self.capture = parts.capture
        self._parts = parts
        self._loop = loop

    @property
    def on(self) -> bool:
        """Whether it is attached."""
        return self.capture.running

    def attach(self) -> None:
        """Load and attach.

        Raises:
            KernelUnfitError: the kernel refuses; nothing stays attached.
        """
        self.capture.start()
        gc.collect()
        gc.freeze()  # what this made (BCC's above all) stays: no later collection walks through it
        gc.set_threshold(YOUNG_OBJECTS)

    def detach(self) -> Counters | None:
        """Detach and hand over what was left; the kernel's last account, None where it was off already."""
        if not self.on:
            return None
        final = self.capture.stop()
        self._loop.finish(final.records, final.counters)
        self._parts.ledger.carry("kernel", "perf-buffer")
        self._parts.packer.accounts.restart()
        gc.unfreeze()
        return final.counters
