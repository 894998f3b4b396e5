# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.units import ByteSize, Duration, UnitError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("200ms", 0.2),
        ("10s", 10),
        ("1.5h", 5400),
        ("5m", 300),
        ("7d", 604800),
        ("50us", 5e-5),
        ("50µs", 5e-5),
        ("1ns", 1e-9),
        (" 2 h ", 7200),
        ("0", 0),
    ],
)
def test_duration_is_seconds(text, seconds):
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MiB", 64 * 2**20), ("1MB", 10**6), ("1.5KiB", 1536), ("12B", 12), ("0", 0), ("2 TiB", 2 * 2**40)],
)
def test_size_is_bytes(text, size):
    assert ByteSize.parse(text) == size


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("10", "'10' without a unit; allowed is a number and one of ns, us, ms, s, m, h, d, such as '200ms'"),
        ("10 parsecs", "unknown unit 'parsecs'"),
        ("1M", "unknown unit 'M'"),  # a minute or a month: case counts
        ("-1s", "no duration"),
        ("1h30m", "no duration"),
        ("", "no duration"),
        ("nan", "no duration"),
        ("0.1ns", "finer than 1 ns"),
        ("\u0661s", "no duration"),  # the Arabic digit one: digits are 0 to 9
    ],
)
def test_bad_duration_says_what_was_found_and_what_is_allowed(text, says):
    with pytest.raises(UnitError, match="found") as error:
        Duration.parse(text)
    assert says in str(error.value)


def test_half_a_byte_is_refused():
    with pytest.raises(UnitError, match="finer than 1 B"):
        ByteSize.parse("0.5B")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Duration(0.2), "200ms"),
        (Duration(90), "90s"),
        (Duration(86400), "1d"),
        (Duration(0), "0s"),
        (ByteSize(64 * 2**20), "64MiB"),
        (ByteSize(10**6), "1MB"),
        (ByteSize(0), "0B"),
    ],
)
def test_prints_the_largest_exact_unit(value, text):
    assert str(value) == text


@given(st.integers(min_value=0, max_value=10 * 365 * 86400 * 10**9))
def test_printed_duration_parses_to_the_same_value(nanoseconds):
    duration = Duration(nanoseconds / 10**9)
    assert Duration.parse(str(duration)) == pytest.approx(duration, rel=1e-12)
    assert Duration.parse(str(Duration.parse(str(duration)))) == Duration.parse(str(duration))


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_printed_size_parses_to_the_same_value(size):
    assert ByteSize.parse(str(ByteSize(size))) == size
