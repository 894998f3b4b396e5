# SPDX-License-Identifier: Apache-2.0
"""Integer columns as bytes: transform within runs, then byte planes: the compressor sees like beside like.

A packed column is one byte w (0 to 8) and w planes of n bytes: plane k holds byte k (little end first) of
every value. Constant zero columns cost one byte. Pure functions over numpy arrays; decoding checks count
times width against the buffer before it reads any of it, so it allocates 8 bytes an event and no more.
"""

import numpy as np
from numpy.typing import NDArray

from schemas.errors import RecordError

U64 = NDArray[np.uint64]
MAX_WIDTH = 8
_WORD_BITS = 64


def pack_plain(values: U64) -> bytes:
    """Pack (n,) unsigned values."""
    top = int(values.max()) if values.size else 0
    width = (top.bit_length() + 7) // 8
    if not width:
        return b"\0"
    word = next(word for word in (1, 2, 4, 8) if word >= width)
    planes = values.astype(f"<u{word}").view(np.uint8).reshape(-1, word)[:, :width]
    return bytes([width]) + planes.T.tobytes()


def unpack_plain(buffer: bytes, count: int, bits: int, name: str) -> U64:
    """Return the (count,) values of a packed column; ``bits`` bounds each of them."""
    width = buffer[0] if buffer else -1
    if not 0 <= width <= MAX_WIDTH or len(buffer) != 1 + width * count:
        found = f"{len(buffer)} bytes with width {width} for {count} events"
        raise RecordError("column", f"column {name}: {found}, expected 1 + width * events")
    values = np.zeros((count, MAX_WIDTH), dtype=np.uint8)
    if width:
        values[:, :width] = np.frombuffer(buffer, dtype=np.uint8, offset=1).reshape(width, count).T
    result: U64 = values.view("<u8").reshape(count)
    check_bits(result, bits, name)
    return result


def check_bits(values: U64, bits: int, name: str) -> None:
    """Refuse a column that holds a value of more than ``bits`` bits."""
    if bits < _WORD_BITS and values.size and int(values.max()) >> bits:
        raise RecordError("column", f"column {name}: value {int(values.max())} is over {bits} bits")


def zigzag(signed: NDArray[np.int64]) -> U64:
    """Map 0, -1, 1, -2 … to 0, 1, 2, 3 … so that small differences of either sign are small numbers."""
    return ((signed << 1) ^ (signed >> 63)).view(np.uint64)


def unzigzag(values: U64) -> NDArray[np.int64]:
    """Undo ``zigzag``."""
    one = np.uint64(1)
    return ((values >> one) ^ (np.uint64(0) - (values & one))).view(np.int64)


def differences(values: U64, starts: NDArray[np.intp], lengths: U64 | None = None) -> U64:
    """Return zigzag differences of (n,) values to the one before; 0 at ``starts``, where runs begin.

    With ``lengths`` the difference is to where the one before ended: to its value plus its length.
    """
    if lengths is None and (values == values[0]).all():
        return np.zeros(values.size, dtype=np.uint64)
    signed = np.empty(values.size, dtype=np.int64)
    steps = signed[1:].view(np.uint64)
    np.subtract(values[1:], values[:-1], out=steps)
    if lengths is not None:
        np.subtract(steps, lengths[:-1], out=steps)
    signed[starts] = 0
    return zigzag(signed)


def accumulate(packed: U64, starts: NDArray[np.intp], counts: NDArray[np.int64], first: U64) -> U64:
    """Undo ``differences``: ``first`` is each run's first value; arithmetic is modulo 2^64."""
    total = np.cumsum(unzigzag(packed).view(np.uint64), dtype=np.uint64)
    base = first - total[starts]
    return total + np.repeat(base, counts)
