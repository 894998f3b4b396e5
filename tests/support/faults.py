# SPDX-License-Identifier: Apache-2.0
"""What a fault did to the events: the figure each test of `tests/faults` ends with, and how it is kept.

`make faults` hands a file over by `--faults-to`, to which every told fault is a line of JSON;
`deploy.faults_page` makes the table of it.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One fault and what became of the events that were produced around it."""

    fault: str
    """What was done, in a few words: `broker killed (SIGKILL) and restarted under load`."""
    events: int
    """Produced: seen in the kernel, or put into batches by the test."""
    stored: int
    """Of these in the lake (or the spool or the topic, where the test ends there; then `where` says so)."""
    lost: dict[str, int] = {}
    """Counted losses, by `stage/reason`."""
    duplicates: int = 0
    """Events that came more than once and were dropped."""
    recovery_seconds: float | None = None
    """From the end of the fault to the first event through after it; None: nothing was to recover."""
    where: str = "lake"
    times: int = 1
    """How often it was done."""

    @property
    def balanced(self) -> bool:
        """Whether every event is stored or counted as lost."""
        return self.events == self.stored + sum(self.lost.values())


class Faults:
    """Given to a test as `faults`: tells outcomes, and how often to repeat."""

    def __init__(self, path: Path | None, *, full: bool) -> None:
        self._path = path
        self.full = full

    def times(self, full: int, quick: int) -> int:
        """Return how often to do a fault: ``full`` for `make faults`, ``quick`` among the other tests."""
        return full if self.full else quick

    def tell(
        self,
        fault: str,
        *,
        events: int,
        stored: int,
        lost: Mapping[str, int] | None = None,
        duplicates: int = 0,
        recovery_seconds: float | None = None,
        where: str = "lake",
        times: int = 1,
    ) -> None:
        """Keep an outcome, then require that it balances and that there was something to lose."""
        outcome = Outcome(
            fault=fault,
            events=events,
            stored=stored,
            lost={reason: count for reason, count in (lost or {}).items() if count},
            duplicates=duplicates,
            recovery_seconds=recovery_seconds,
            where=where,
            times=times,
        )
        line = msgspec.json.encode(outcome)
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(line + b"\n")
        print(line.decode())  # noqa: T201 - the figure
        assert outcome.events > 0, f"{fault}: no events, so nothing is shown"
        assert outcome.balanced, f"{fault}: {events} produced, {stored} stored, {outcome.lost} lost"
