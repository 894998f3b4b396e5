# SPDX-License-Identifier: Apache-2.0
"""The gate of turns: whether sums of exchanges may be answered with. One rule for whoever has such sums.

Sums are those of histogram rows of the measures ``MEASURES``: ``n`` exchanges with a value, ``spoiled`` that
are marked; both of these were told. Sums of parts are judged like one.
"""

MEASURES = ("server-turn", "client-turn", "network")
LEAST = 20
"""Exchanges that a figure needs."""
PER_CENT = 1
"""Of 100 exchanges, fewer than this may be spoiled."""
SPOILED = 2
"""A marked exchange is two requests or more told as one: two turns that are not told, or wrong."""
TOO_FEW, PIPELINED = "too_few", "pipelined"


def invalid(told: int, spoiled: int) -> str | None:
    """Return why turns of so many exchanges, so many of them marked, are invalid; None where they are not."""
    if told < LEAST:
        return TOO_FEW
    return PIPELINED if 100 * SPOILED * spoiled >= PER_CENT * told else None
