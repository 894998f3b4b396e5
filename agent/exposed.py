# SPDX-License-Identifier: Apache-2.0
"""What the agent shows over HTTP: metrics, `/livez`, `/readyz`. Off unless `service.metrics-listen` is set.

The thread that traces notes that it turns, and leaves its status of each heartbeat here; all else is done by
the thread of whoever asks, so a scrape sees figures of one moment, that of the last heartbeat.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from agent.brakes.standing import CANNOT_ATTACH, STOPPED
from agent.status import Status
from common.health import Health, Pulse

PATIENCE_SECONDS = 30.0
"""Without a turn of the loop; and with events that wait for Kafka, which acknowledges none."""


class Exposed:
    """What there is to be seen of one agent run; ``listen`` empty: nothing is served."""

    def __init__(self, listen: str) -> None:
        self._listen = listen
        self.pulse = Pulse(PATIENCE_SECONDS)
        self.waiting = ""
        """For what, before all can go its way; empty: for nothing."""
        self.latest: Status | None = None
        """Of the last heartbeat, None before the first."""
        self.address: tuple[str, int] | None = None
        """Where it answers, None: nowhere."""

    @contextmanager
    def served(self) -> Iterator[None]:
        """Answer until the block is left.

        Raises:
            ConfigError: nothing can listen there.
        """
        if not self._listen:
            yield
            return
        from agent.metrics import registry_of  # noqa: PLC0415 - memory that an agent without metrics keeps
        from common.metrics import serve_metrics  # noqa: PLC0415 - the same

        health = Health(self.pulse.trouble, lambda: self.waiting or unready(self.latest))
        with serve_metrics(registry_of(lambda: self.latest), self._listen, health) as self.address:
            yield


def unready(status: Status | None) -> str | None:
    """Return why an agent with this status does not do its work, None where it does.

    It does where it is attached or was deliberately stopped, and either nothing waits for Kafka or Kafka
    acknowledges. What has never been acknowledged counts at once, later a silence only after 30 s.
    """
    if status is None:
        return "not begun yet"
    if status.state == STOPPED and status.why.startswith(CANNOT_ATTACH):
        return status.why
    waiting, last = status.oldest_undelivered_seconds, status.last_delivery_ns
    if not waiting:
        return None
    silent = None if last is None else (status.monotonic_ns - last) / 1e9
    if silent is None or min(waiting, silent) > PATIENCE_SECONDS:
        why = f": {status.last_error}" if status.last_error else ""
        return f"Kafka has not acknowledged what has waited for {waiting:.0f} s{why}"
    return None
