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


def jumped(kafka_offset: int) -> str:
    """Return the word for reading that went on elsewhere, at a Kafka offset."""
    return f"{_JUMP}{kafka_offset}"


def jump_in(word: str) -> int | None:
    """Return the Kafka offset that reading went on at, None where a word is of something else."""
    return int(word.removeprefix(_JUMP)) if word.startswith(_JUMP) else None


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
