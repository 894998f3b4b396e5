# SPDX-License-Identifier: Apache-2.0
"""What an engine is told besides records, as words that a commit's progress row keeps.

The same records and words in the same order make the same state and rows again.
"""

from typing import Protocol

import msgspec

from consumer.engine import EventEngine, Output, Peers
from lake.errors import LakeCorruptError
from lake.older import FLUSH

_HEAR = "hear "
_JUMP = "jump "


class Told(Protocol):
    """What is needed of an engine."""

    def flush(self) -> Output:
        """Close what is open, as if time had passed."""


def hear(peers: Peers) -> str:
    """Return the word for what is known of other hosts."""
    return _HEAR + msgspec.json.encode(peers).decode()


def is_hear(word: str) -> bool:
    """Say whether a word is of other hosts: of several at one offset the last holds."""
    return word.startswith(_HEAR)


def jumped(lake_offset: int, shift: int) -> str:
    """Return the word for a jump: to which lake offset, and what is between these and Kafka's since."""
    return f"{_JUMP}{lake_offset} {shift}"


def jump_in(word: str) -> tuple[int, int] | None:
    """Return lake offset and shift after a jump, None where a word is of something else."""
    if not word.startswith(_JUMP):
        return None
    lake_offset, shift = word.removeprefix(_JUMP).split()
    return int(lake_offset), int(shift)


def tell(engine: Told, word: str) -> Output:
    """Tell an engine what a word says; raises LakeCorruptError where this version does not know it."""
    if word == FLUSH:
        return engine.flush()
    try:
        if is_hear(word) and isinstance(engine, EventEngine):
            engine.hear(msgspec.json.decode(word.removeprefix(_HEAR), type=Peers))
            return Output()
    except msgspec.MsgspecError:
        pass
    raise LakeCorruptError(f"a progress row notes {word!r}, which this version does not know", name=word)
