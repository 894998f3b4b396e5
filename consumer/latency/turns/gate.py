# SPDX-License-Identifier: Apache-2.0
"""Whether turns mean anything: enough exchanges, and hardly any pipelined. ``schemas.turns`` by columns."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from consumer.latency.intervals import I64
from schemas.turns import LEAST, PER_CENT, SPOILED


class Verdict(IntEnum):
    """May turns be published? All but the first say why they are invalid."""

    VALID = 0
    TOO_FEW = 1
    PIPELINED = 2


def judge(exchanges: I64, pipelined: I64) -> NDArray[np.int8]:
    """Return the `Verdict` on each of (n,) sums of one connection's or one edge's exchanges.

    ``pipelined`` counts those among ``exchanges`` that are marked. Sums of parts are judged like one.
    """
    told = np.where(100 * SPOILED * pipelined >= PER_CENT * exchanges, Verdict.PIPELINED, Verdict.VALID)
    return np.where(exchanges < LEAST, Verdict.TOO_FEW, told).astype(np.int8)
