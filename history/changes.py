# SPDX-License-Identifier: Apache-2.0
"""Since when is it otherwise: the one minute at which a series changed its level, if it did. Pure.

Latencies are compared by their logarithms. Each cut into two parts of LEAST minutes at least is weighed by
how far their means are apart, in standard errors; the best one counts if that is more than chance explains,
and the medians of its parts differ by what somebody would care for. The spread is taken from what is left
within the parts (median of absolute differences, so that single minutes do not matter), and is widened where
neighbouring minutes are alike, as then there are fewer independent ones than minutes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
LEAST = 3
"""Minutes of a part."""
FEWEST = 8
"""Minutes with a value that a series needs at all."""
CERTAIN = 5.0
"""Standard errors; the best of all cuts of a level series reaches 3 now and then."""
SMALLEST = 0.15
"""Of a logarithm: 16 %."""
_NORMAL = 1.4826
_MOST_ALIKE = 0.9
_FINEST = 2e-3
_CLIP = 4.0


class Change(NamedTuple):
    """Where a series changed."""

    at: int
    """Number of the first value of the new level."""
    before: float
    after: float
    """Medians of the values on either side, as they were given."""
    sure: float
    """Standard errors between the means."""
    of: str = ""
    """What the values are: told by whoever knows."""

    @property
    def ratio(self) -> float:
        """After by before."""
        return self.after / self.before if self.before else float("inf")


def change(values: F64, floor: float = 0.0) -> Change | None:
    """Return where (n,) positive values changed their level, None: nowhere for sure.

    NaN is no value. ``floor`` is the least spread of a logarithm that must be taken for chance.
    """
    known = np.flatnonzero(np.isfinite(values) & (values > 0))
    if known.size < max(FEWEST, 2 * LEAST):
        return None
    logs = np.log(values[known])
    cut, _ = _best(logs, _robust(logs))
    rest = np.concatenate((logs[:cut] - np.median(logs[:cut]), logs[cut:] - np.median(logs[cut:])))
    spread = max(_robust(rest), _step(logs), floor, _FINEST)
    cut, sure = _best(np.clip(logs, *_fences(logs, cut, spread)), spread)
    sure /= _inflation(rest)
    low, high = float(np.median(logs[:cut])), float(np.median(logs[cut:]))
    if sure < CERTAIN or abs(high - low) < SMALLEST:
        return None
    return Change(int(known[cut]), float(np.exp(low)), float(np.exp(high)), sure)


def _best(logs: F64, spread: float) -> tuple[int, float]:
    """Return the cut with the most standard errors between the means of its parts, and how many."""
    n = logs.size
    cuts = np.arange(LEAST, n - LEAST + 1)
    sums = np.cumsum(logs)
    first = sums[cuts - 1] / cuts
    second = (sums[-1] - sums[cuts - 1]) / (n - cuts)
    errors = np.abs(second - first) * np.sqrt(cuts * (n - cuts) / n) / max(spread, 1e-9)
    best = int(errors.argmax())
    return int(cuts[best]), float(errors[best])


def _robust(values: F64) -> float:
    return _NORMAL * float(np.median(np.abs(values - np.median(values))))


def _step(logs: F64) -> float:
    """Return the spread that differences of neighbours show."""
    return _robust(np.diff(logs)) / 2**0.5


def _fences(logs: F64, cut: int, spread: float) -> tuple[float, float]:
    """Return between which values are taken as they are: a single minute beyond decides nothing."""
    levels = float(np.median(logs[:cut])), float(np.median(logs[cut:]))
    return min(levels) - _CLIP * spread, max(levels) + _CLIP * spread


def _inflation(rest: F64) -> float:
    """Return by how much errors are larger than those of independent minutes."""
    clipped = np.clip(rest, *(np.array([-1, 1]) * _CLIP * max(_robust(rest), 1e-9)))
    squares = float((clipped**2).sum())
    alike = float((clipped[1:] * clipped[:-1]).sum()) / squares if squares else 0.0
    alike = min(max(alike, 0.0), _MOST_ALIKE)
    return float(((1 + alike) / (1 - alike)) ** 0.5)


def change_of_counts(counts: F64) -> Change | None:
    """Return the same of (n,) counts of rare things, which differ by chance by their square roots."""
    mean = float(np.mean(counts)) if counts.size else 0.0
    found = change(counts + 1.0, floor=1 / max(mean, 0.5) ** 0.5)
    return found and found._replace(before=found.before - 1, after=found.after - 1)
