# SPDX-License-Identifier: Apache-2.0
"""How one field of an event is described: its unit, its meaning, and the way its column is packed.

The description stands beside the field's type in ``event.py``; the codec (``columns.py``) and the generated
page ``docs/wire-format.md`` both read it from there, so neither can drift from the other.
"""

from enum import StrEnum
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin

import msgspec


class Packing(StrEnum):
    """The transform a column goes through before its bytes are split into planes."""

    PLAIN = "plain"
    """The value itself (never negative)."""
    DELTA = "delta"
    """Zigzag of the difference to the event before it in the run; the run carries the first."""
    CONTINUE = "continue"
    """Zigzag of the difference to where the event before it ended (position + length); else like delta."""
    RUN = "run"
    """Constant within a run: stored once a run, as an index or a value of the run."""


class Column(NamedTuple):
    """One field of an event kind, as the codec and the documentation see it."""

    name: str
    unit: str
    packing: Packing
    bits: int
    meaning: str


def described(unit: str, packing: Packing, bits: int, meaning: str) -> msgspec.Meta:
    """Return the metadata that ``columns_of`` reads back; ``bits`` is the widest value allowed."""
    extra = {"unit": unit, "packing": packing, "bits": bits}
    return msgspec.Meta(ge=0, description=meaning, extra=extra)


@cache
def columns_of(struct: type[msgspec.Struct]) -> tuple[Column, ...]:
    """Return the described fields of an event Struct, in declaration order."""
    found = []
    for field in msgspec.structs.fields(struct):
        meta = _meta(field.type)
        if meta is None or meta.extra is None:
            continue
        extra: dict[str, Any] = meta.extra
        column = Column(field.name, extra["unit"], extra["packing"], extra["bits"], meta.description or "")
        found.append(column)
    return tuple(found)


def _meta(annotation: object) -> msgspec.Meta | None:
    if get_origin(annotation) is not Annotated:
        return None
    return next((part for part in get_args(annotation)[1:] if isinstance(part, msgspec.Meta)), None)
