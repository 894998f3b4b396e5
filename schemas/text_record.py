# SPDX-License-Identifier: Apache-2.0
"""Reads a JSON record of the control topic: size, then form, then version. Raises RecordError only."""

from typing import TypeVar

import msgspec

from schemas.errors import RecordError

MAX_RECORD_BYTES = 256 * 1024
T = TypeVar("T")


def read(value: bytes, kind: type[T], what: str, version: int) -> T:
    """Return the object in a record's value; ``what`` is its name in messages, such as `an order`."""
    name = what.rsplit(maxsplit=1)[-1]
    if len(value) > MAX_RECORD_BYTES:
        raise RecordError("too-large", f"{name} of {len(value)} bytes, allowed are {MAX_RECORD_BYTES}")
    try:
        found = msgspec.json.decode(value, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise RecordError("not-json", f"not {what}: {error}") from error
    if (told := getattr(found, "version", None)) != version:
        raise RecordError("version", f"{name} of version {told}, this reader takes {version}")
    return found
