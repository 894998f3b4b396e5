# SPDX-License-Identifier: Apache-2.0
"""The public face: ``wirelag.decode`` for programs that read the events topic, ``wirelag`` for people.

Importing this package loads nothing else; what a call needs is loaded by the call.
"""

from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["decode"]


@overload
def decode(value: bytes) -> list[dict[str, Any]]: ...
@overload
def decode(value: bytes, as_: Literal["rows"]) -> list[dict[str, Any]]: ...
@overload
def decode(value: bytes, as_: Literal["arrow"]) -> "pa.Table": ...


def decode(value: bytes, as_: Literal["rows", "arrow"] = "rows") -> "list[dict[str, Any]] | pa.Table":
    """Return the events in one record value of ``wirelag.events.v1``, kind by kind.

    Kinds are send, receive, arrival, connect, close and retransmit, in this order.
    Each event says what it is (``kind``), who saw it (``host``, ``boot``, ``process``, ``pid``, ``label``),
    on which connection (``connection``, ``direction``, addresses and ports), when (``time_ns`` since the Unix
    epoch, ``monotonic_ns`` of the host) and which bytes (``position``, ``length``); docs/query.md lists all.

    Args:
        value: the record's value, as any Kafka client gives it.
        as_: ``rows`` for a list of dicts, without the fields that a kind does not have; ``arrow`` for a
            pyarrow Table (nulls in their place), made from whole columns: several times faster.

    Raises:
        schemas.errors.RecordError: the value is no event batch that this version reads (a ValueError).
        ValueError: ``as_`` is neither.
    """
    if as_ == "arrow":
        from wirelag.arrow import table

        return table(value)
    if as_ == "rows":
        from wirelag.rows import rows

        return rows(value)
    raise ValueError(f"as_: found {as_!r}; allowed are 'rows' and 'arrow'")
