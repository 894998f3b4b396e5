# SPDX-License-Identifier: Apache-2.0
"""Conditions that questions share, as constant SQL and bound parameters: no text of a person becomes SQL."""

from history.errors import QuestionError
from history.span import Span

KINDS = ("delivery", "wire", "receive-wait", "send-block")


def picked(kinds: str) -> list[str]:
    """Return the kinds that ``--kind`` names, in its order without repeats; raises QuestionError."""
    wanted = list(dict.fromkeys(kind.strip() for kind in kinds.split(",") if kind.strip()))
    unknown = [kind for kind in wanted if kind not in KINDS]
    if unknown or not wanted:
        found = ", ".join(repr(kind) for kind in unknown) or repr(kinds)
        raise QuestionError(f"--kind: found {found}; allowed are {', '.join(KINDS)}, with commas")
    return wanted


def told(span: Span, *, edge: str = "", host: str = "") -> tuple[str, dict[str, object]]:
    """Return (more conditions, parameters) for tables that have an edge and the host that tells of it."""
    condition, parameters = where(span, edge=edge, host=host)
    return condition.replace("(sender_host = $host OR receiver_host = $host)", "host = $host"), parameters


def where(span: Span, *, edge: str = "", host: str = "") -> tuple[str, dict[str, object]]:
    """Return (more conditions, parameters) for tables that have an edge and two hosts."""
    parameters: dict[str, object] = {"from_ns": span.from_ns, "to_ns": span.to_ns, "edge": edge, "host": host}
    condition = ""
    if edge:
        condition += " AND contains(lower(edge), lower($edge))"
    if host:
        condition += " AND (sender_host = $host OR receiver_host = $host)"
    return condition, parameters
