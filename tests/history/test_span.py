# SPDX-License-Identifier: Apache-2.0
"""Times as people give them become nanoseconds, or an error that says what is allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history.errors import QuestionError
from history.span import Span, iso, moment, span

NOW = 1_760_000_400_000_000_001
HOUR = 3600 * 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-1h", NOW - HOUR),
        (" -1.5h ", NOW - HOUR * 3 // 2),
        ("-30m", NOW - HOUR // 2),
        ("-7d", NOW - 7 * 24 * HOUR),
        ("2025-10-09T09:00", 1_760_000_400_000_000_000),
        ("2025-10-09 09:00:00Z", 1_760_000_400_000_000_000),
        ("2025-10-09T11:00:00.000001+02:00", 1_760_000_400_000_001_000),
        ("2025-10-09", 1_759_968_000_000_000_000),
        ("1970-01-01", 0),
    ],
)
def test_times(text: str, expected: int) -> None:
    """Now, times ago and ISO 8601 are understood; without a zone they are UTC."""
    assert moment("--from", text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1h",
        "-",
        "-1",
        "-h",
        "yesterday",
        "20251009",
        "2025-13-01",
        "-99999999d",
        "1969-12-31",
        "2300-01-01",
        "-1h; DROP",
    ],
)
def test_anything_else_names_the_option(text: str) -> None:
    """What is no time is refused with the option's name, what was found and what is allowed."""
    with pytest.raises(QuestionError, match=r"--to: .*allowed is now, a time ago such as -1h") as raised:
        moment("--to", text, NOW)
    assert raised.value.exit_code == 2
    assert repr(text) in str(raised.value)


def test_span_needs_a_beginning_before_its_end() -> None:
    """An empty or backward span is refused."""
    assert span("-1h", "now", NOW) == Span(NOW - HOUR, NOW)
    with pytest.raises(QuestionError, match="--from now is not before --to now"):
        span("now", "now", NOW)


@given(st.integers(0, 2**63 - 1))
def test_printed_times_are_read_back(time_ns: int) -> None:
    """A printed time is the time that was meant, to the microsecond that ISO 8601 is read with."""
    assert moment("--from", iso(time_ns, 6), NOW) == time_ns // 1000 * 1000


def test_digits_of_a_second() -> None:
    """A time is printed with the digits asked for."""
    assert [iso(NOW, digits) for digits in (0, 3, 9)] == [
        "2025-10-09T09:00:00Z",
        "2025-10-09T09:00:00.000Z",
        "2025-10-09T09:00:00.000000001Z",
    ]
