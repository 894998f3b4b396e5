# SPDX-License-Identifier: Apache-2.0
"""Conditions that questions share, as constant SQL and bound parameters: no text of a person becomes SQL."""

import re
from collections.abc import Sequence

from history.errors import QuestionError
from history.span import Span

_BETWEEN = re.compile(r"\s*->\s*|\s+>\s+")
"""Stands between the two sides of an edge, as a person may write it."""


def picked(kinds: str, allowed: Sequence[str]) -> list[str]:
    """Return the kinds that ``--kind`` names, in its order without repeats; raises QuestionError."""
    wanted = list(dict.fromkeys(kind.strip() for kind in kinds.split(",") if kind.strip()))
    unknown = [kind for kind in wanted if kind not in allowed]
    if unknown or not wanted:
        found = ", ".join(repr(kind) for kind in unknown) or repr(kinds)
        raise QuestionError(f"--kind: found {found}; allowed are {', '.join(allowed)}, with commas")
    return wanted


def sides(edge: str) -> tuple[str, str] | None:
    """Return the two sides of an edge as ``a -> b`` or ``a > b`` names them, None where it names but one."""
    parts = _BETWEEN.split(edge, maxsplit=1)
    return (parts[0].strip(), parts[1].strip()) if len(parts) > 1 else None


def told(span: Span, *, edge: str = "", host: str = "") -> tuple[str, dict[str, object]]:
    """Return (more conditions, parameters) for tables that have an edge and the host that tells of it."""
    condition, parameters = where(span, edge=edge, host=host)
    return condition.replace("(sender_host = $host OR receiver_host = $host)", "host = $host"), parameters


def where(span: Span, *, edge: str = "", host: str = "") -> tuple[str, dict[str, object]]:
    """Return (more conditions, parameters) for tables that have an edge and two hosts."""
    parameters: dict[str, object] = {"from_ns": span.from_ns, "to_ns": span.to_ns, "edge": edge, "host": host}
    condition = ""
    pair = sides(edge)
    if pair is not None:
        parameters |= {"sender_side": pair[0], "receiver_side": pair[1]}
        condition += " AND contains(lower(split_part(edge, ' > ', 1)), lower($sender_side))"
        condition += " AND contains(lower(split_part(edge, ' > ', 2)), lower($receiver_side))"
    elif edge:
        condition += " AND contains(lower(edge), lower($edge))"
    if host:
        condition += " AND (sender_host = $host OR receiver_host = $host)"
    return condition, parameters
