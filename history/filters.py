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


def told(span: Span, *, edge: str = "", host: str = "") -> tuple[str, dict[str, object]]:
    """Return (more conditions, parameters) for tables that have an edge and the host that tells of it."""
    condition, parameters = where(span, edge=edge, host=host)
    return condition.replace("(sender_host = $host OR receiver_host = $host)", "host = $host"), parameters


def where(span: Span, *, edge: str = "", host: str = "") -> tuple[str, dict[str, object]]:
    """Return (more conditions, parameters) for tables that have an edge and two hosts."""
    parameters: dict[str, object] = {"from_ns": span.from_ns, "to_ns": span.to_ns, "edge": edge, "host": host}
    condition = ""
    sides = _BETWEEN.split(edge, 1)
    if len(sides) > 1:
        parameters |= {"sender_side": sides[0].strip(), "receiver_side": sides[1].strip()}
        condition += " AND contains(lower(split_part(edge, ' > ', 1)), lower($sender_side))"
        condition += " AND contains(lower(split_part(edge, ' > ', 2)), lower($receiver_side))"
    elif edge:
        condition += " AND contains(lower(edge), lower($edge))"
    if host:
        condition += " AND (sender_host = $host OR receiver_host = $host)"
    return condition, parameters
