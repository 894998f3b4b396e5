# SPDX-License-Identifier: Apache-2.0
"""Things measured in alternation in one process: A B C A B C …, by the process's CPU time and by the wall's.

CPU time is that of all threads, so it holds on a machine that others use too, and nobody wins by threads.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Took(NamedTuple):
    """One call."""

    cpu: float
    """Seconds, of all threads of the process."""
    wall: float


class Rounds(NamedTuple):
    """What calls of each name took, one a round."""

    took: dict[str, list[Took]]

    def cpu(self, name: str) -> float:
        """Return the median seconds of CPU."""
        return statistics.median(one.cpu for one in self.took[name])

    def wall(self, name: str) -> float:
        """Return the median seconds on the wall."""
        return statistics.median(one.wall for one in self.took[name])

    def ratios(self, slow: str, fast: str) -> list[float]:
        """Return, of each round, how many times the CPU of one the other took, in ascending order."""
        return sorted(a.cpu / b.cpu for a, b in zip(self.took[slow], self.took[fast], strict=True))

    def ratio(self, slow: str, fast: str) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.ratios(slow, fast))


def alternate(calls: Mapping[str, Callable[[], object]], rounds: int) -> Rounds:
    """Call each in turn, once unmeasured and then so many times; all must give equal answers."""
    took: dict[str, list[Took]] = {name: [] for name in calls}
    expected = None
    for number in range(1 + rounds):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            answer = call()
            once = Took(time.process_time() - cpu, time.perf_counter() - wall)
            expected = answer if expected is None else expected
            assert answer == expected, f"{name} answers {answer}, the first {expected}"
            if number:
                took[name].append(once)
    return Rounds(took)


def show(rounds: Rounds, events: int, first: str) -> None:
    """Print the medians of each, and how far the first is from itself."""
    for name in rounds.took:
        cpu, wall = rounds.cpu(name), rounds.wall(name)
        low, *_, high = rounds.ratios(name, first)
        print(
            f"  {name:18} {cpu * 1e3:7.1f} ms CPU {wall * 1e3:7.1f} ms wall {cpu / events * 1e9:6.1f} ns each"
            f"  {rounds.ratio(name, first):6.2f} x {first} ({low:.2f} to {high:.2f})"
        )
