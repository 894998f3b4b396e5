# SPDX-License-Identifier: Apache-2.0
"""Packed columns of many sections as one: what ``schemas.columns`` does for each, in fewer and larger steps.

A column of each section lies behind that of the one before. Nothing is read that a buffer does not hold;
``UnusualError`` leaves it to the caller to judge each section by itself.
"""

from collections.abc import Sequence

import numpy as np

from consumer.latency.intervals import I64, Index
from schemas import columns as codec
from schemas.columns import U64

_LONG = 192
"""Values of a section, on average, from which on copying plane by plane is quicker than one gather."""


class UnusualError(Exception):
    """Something that only unpacking each batch by itself can judge."""


def constant(buffers: Sequence[bytes]) -> bool:
    """Say whether each of these columns holds zeros alone."""
    return all(buffer == b"\0" for buffer in buffers)


def planes(buffers: Sequence[bytes], counts: I64, bits: int) -> U64:
    """Return the values of packed columns of ``counts`` values each, none above ``bits`` bits."""
    sizes = np.array([len(buffer) for buffer in buffers], dtype=np.int64)
    if not sizes.all():
        raise UnusualError
    widths = np.array([buffer[0] for buffer in buffers], dtype=np.int64)
    if int(widths.max()) > codec.MAX_WIDTH or (sizes != 1 + widths * counts).any():
        raise UnusualError
    total = int(counts.sum())
    if total >= _LONG * counts.size:
        whole = _copied(buffers, counts.tolist(), total)
    else:
        whole = _gathered(buffers, counts, widths, sizes)
    if int(whole.max()) >> bits:
        raise UnusualError
    return whole


def several(columns: Sequence[Sequence[bytes]], counts: I64, bits: Sequence[int]) -> list[U64]:
    """Return what ``planes`` does for each of some columns, of as many values each, in one go."""
    buffers = [buffer for column in columns for buffer in column]
    values = planes(buffers, np.tile(counts, len(columns)), 64).reshape(len(columns), -1)
    if any(top >> most for top, most in zip(values.max(axis=1).tolist(), bits, strict=True)):
        raise UnusualError
    return list(values)


def _copied(buffers: Sequence[bytes], counts: list[int], total: int) -> U64:
    """Return the values of long columns, each plane copied into its byte of them."""
    whole = np.zeros(total, dtype="<u8")
    single = whole.view(np.uint8)
    start = 0
    for buffer, count in zip(buffers, counts, strict=True):
        end, width = start + count, buffer[0]
        flat = np.frombuffer(buffer, dtype=np.uint8, offset=1)
        if width == 1:
            whole[start:end] = flat
        else:
            for plane in range(width):
                single[8 * start + plane : 8 * end : 8] = flat[plane * count : (plane + 1) * count]
        start = end
    return whole


def _gathered(buffers: Sequence[bytes], counts: I64, widths: I64, sizes: I64) -> U64:
    """Return the values of short columns, all of one plane at once."""
    zeros = int(sizes.sum())
    flat = np.frombuffer(b"".join(buffers) + bytes(int(counts.max())), dtype=np.uint8)
    first, begin = np.cumsum(counts) - counts, np.cumsum(sizes) - sizes + 1
    values = np.zeros((int(counts.sum()), codec.MAX_WIDTH), dtype=np.uint8)
    event = np.arange(values.shape[0])
    for plane in range(int(widths.max())):
        # A column without this plane reads zeros from behind the last one.
        source = np.where(widths > plane, begin + plane * counts, zeros) - first
        values[:, plane] = flat[np.repeat(source, counts) + event]
    whole: U64 = values.view("<u8").reshape(-1)
    return whole


def summed(steps: U64, starts: Index, first: U64, lengths: U64 | None) -> U64:
    """Undo the differences within runs, modulo 2^64; ``steps`` (n,) are changed.

    ``first`` are the runs' first values, ``starts`` where they stand. With ``lengths`` (n,) a difference is
    to where the one before ended.
    """
    negative = steps & np.uint64(1)
    np.negative(negative, out=negative)
    steps >>= np.uint64(1)
    steps ^= negative
    if lengths is not None:
        steps[1:] += lengths[:-1]
    steps[starts] = 0
    within = np.add.reduceat(steps, starts)
    steps[starts] = first
    steps[starts[1:]] -= first[:-1] + within[:-1]
    values: U64 = np.cumsum(steps, dtype=np.uint64)
    return values
