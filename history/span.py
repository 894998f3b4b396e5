# SPDX-License-Identifier: Apache-2.0
"""Times as people give them: ``-1h``, ``now``, ``2026-11-22T10:00``. Pure: "now" is an argument.

A time without a zone is UTC, like every time that is printed. Spans are half open: from <= t < to.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from common.units import Duration, UnitError
from history.errors import QuestionError

ALLOWED = "now, a time ago such as -1h, -30m or -7d, or an ISO 8601 time such as 2026-11-22T10:00 (UTC)"
_LAST_NS = 2**63 - 1
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")


class Span(NamedTuple):
    """From <= t < to, nanoseconds since the Unix epoch."""

    from_ns: int
    to_ns: int


def span(from_text: str, to_text: str, now_ns: int) -> Span:
    """Return the span that ``--from`` and ``--to`` mean; raises QuestionError, which names the option."""
    found = Span(moment("--from", from_text, now_ns), moment("--to", to_text, now_ns))
    if found.from_ns >= found.to_ns:
        raise QuestionError(f"--from {from_text} is not before --to {to_text}")
    return found


def moment(option: str, text: str, now_ns: int) -> int:
    """Return the nanoseconds since the Unix epoch that a text means; raises QuestionError."""
    stripped = text.strip()
    if stripped == "now":
        return now_ns
    try:
        found = now_ns - Duration.parse(stripped[1:]).nanoseconds if stripped[:1] == "-" else _iso(stripped)
    except (UnitError, ValueError, OverflowError) as error:
        raise QuestionError(f"{option}: found {text!r}; allowed is {ALLOWED}") from error
    if not 0 <= found <= _LAST_NS:
        raise QuestionError(f"{option}: {text!r} is before 1970 or after 2262; allowed is {ALLOWED}")
    return found


def iso(time_ns: int, digits: int = 9) -> str:
    """Return a time as ISO 8601 in UTC with so many digits of a second (0 for none)."""
    seconds, rest = divmod(time_ns, 10**9)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}"[: 20 + digits].rstrip(".") + "Z"


def _iso(text: str) -> int:
    if not _DATE.fullmatch(text):
        raise ValueError(text)
    parsed = datetime.fromisoformat(text)
    zoned = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    passed = zoned - datetime(1970, 1, 1, tzinfo=UTC)
    return (passed.days * 86_400 + passed.seconds) * 10**9 + passed.microseconds * 1000
