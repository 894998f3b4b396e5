# SPDX-License-Identifier: Apache-2.0
"""The chance that sampling had to keep what is in the lake (docs/sampling.md). Pure; costs nothing an event.

An end keeps an event if h1 of its connection is below the end's connection rate, or h2 of the block of 64 KiB
that its last byte is in below its block rate (docs/wire-format.md). Both hashes are the same at both ends, so
what two ends keep is not independent: of two hosts with rates of their own the lower ones decide, and the
chance of both is worked out from the three ranges that h1 can be in.
"""

from typing import NamedTuple

from schemas.batch import FULL_RATE, EventBatch


class Rates(NamedTuple):
    """Of 65,536 connections, and of as many blocks, those that an end keeps."""

    connection: int = FULL_RATE
    block: int = FULL_RATE

    @property
    def everything(self) -> bool:
        """Nothing is left out."""
        return self.connection >= FULL_RATE or self.block >= FULL_RATE


EVERYTHING = Rates()


def _plain(rates: Rates) -> Rates:
    return EVERYTHING if rates.everything else rates


def rates_of(batch: EventBatch) -> Rates:
    """Return what the events of a batch were kept by; the same for all ways to keep everything."""
    return _plain(Rates(batch.connection_rate, batch.block_rate))


def one_end(rates: Rates) -> float:
    """Return the chance that an event was kept at its end."""
    return both_ends(rates, rates)


def both_ends(one: Rates, other: Rates) -> float:
    """Return the chance that a message was kept at both of its ends.

    With h1 below both connection rates it was; between them the end of the lower one kept it by its block;
    above both each end did, so by the lower block rate.
    """
    lower, higher = sorted((_plain(one), _plain(other)))
    whole, between = lower.connection, higher.connection - lower.connection
    above = FULL_RATE - higher.connection
    chosen = whole * FULL_RATE + between * lower.block + above * min(lower.block, higher.block)
    return chosen / FULL_RATE**2


def whole_connection(*ends: Rates) -> float:
    """Return the chance that connections, and so their turns, were kept whole at each of these ends."""
    return min((end.connection / FULL_RATE for end in ends if not end.everything), default=1.0)


def told(chance: float) -> float | None:
    """Return a chance as rows tell it: None for 1."""
    return None if chance >= 1 else chance
