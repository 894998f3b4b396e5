# SPDX-License-Identifier: Apache-2.0
"""State objects: what a matcher remembers after an offset, never changed once written.

An object is a header and the state, compressed with zstd. The checksum covers the object's own name too, so
neither a flipped bit nor another partition's object is taken for the state asked for: `read` returns what
`write` was given, or raises.
"""

import struct
import uuid
import zlib

import pyarrow as pa

from lake.errors import LakeCorruptError
from lake.storage import Storage, translated

FOLDER = "_state"
"""Delta's vacuum leaves folders alone whose names begin with an underscore."""

_MAGIC = b"WLS1"
_HEADER = struct.Struct("<4sIQ")  # magic, checksum, bytes of the state before compression
_CODEC = pa.Codec("zstd", compression_level=1)


def new_name(topic_id: str, partition: int, to_offset: int) -> str:
    """Return a name no other object has."""
    return f"{FOLDER}/{topic_id}/{partition}/{to_offset}-{uuid.uuid4().hex}"


def offset_of(name: str) -> int:
    """Return the Kafka offset in a state object's name."""
    return int(name.rpartition("/")[2].partition("-")[0])


def write(storage: Storage, name: str, state: bytes) -> None:
    """Store a state under a new name, not yet synced."""
    body = _CODEC.compress(state, asbytes=True)
    with storage.writing(name) as stream:
        stream.write(_HEADER.pack(_MAGIC, _checksum(name, len(state), body), len(state)))
        stream.write(body)


def read(storage: Storage, name: str) -> bytes:
    """Return a state.

    Raises:
        LakeCorruptError: it is missing, cut short or not what was written.
    """
    try:
        with translated(f"cannot read {storage.location(name)}"):
            data = _found(storage, name)
        return _decoded(name, data)
    except ValueError as error:
        raise LakeCorruptError(
            f"state object {storage.location(name)} is unusable: {error}; restore it from a copy of the lake",
            name=name,
        ) from error


def _found(storage: Storage, name: str) -> bytes:
    try:
        return storage.read(name)
    except FileNotFoundError:
        raise ValueError("it is missing") from None


def _decoded(name: str, data: bytes) -> bytes:
    if len(data) < _HEADER.size:
        raise ValueError(f"it has {len(data)} bytes, a header has {_HEADER.size}")
    magic, checksum, length = _HEADER.unpack_from(data)
    body = memoryview(data)[_HEADER.size :]
    if magic != _MAGIC:
        raise ValueError(f"it begins with {magic!r}, not {_MAGIC!r}")
    found = _checksum(name, length, body)
    if found != checksum:
        raise ValueError(f"its checksum is {found:08x}, written was {checksum:08x}")
    return bytes(_CODEC.decompress(body, decompressed_size=length, asbytes=True))


def _checksum(name: str, length: int, body: bytes | memoryview) -> int:
    return zlib.crc32(body, zlib.crc32(f"{name}:{length}".encode()))
