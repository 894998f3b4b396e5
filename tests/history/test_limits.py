# SPDX-License-Identifier: Apache-2.0
"""What was sampled is answered by weight, with limits from the rows that say what was kept as one."""

from typing import Any

import numpy as np
import pytest

from history.latency import Answer, Latency, latency
from history.span import Span
from support.rows import START, Write, histogram, match, rollup
from tests.history.test_estimates import Fleet, Kept, fleet, kept, value

SPAN = Span(START, START + 600 * 10**9)
KEEP = 0.04


def sampled(seed: int = 1, connections: int = 800) -> tuple[Fleet, Kept]:
    random = np.random.default_rng(seed)
    made = fleet(random, connections, 0.3)
    return made, kept(random, made, (8_000, 6_000), whole=False)


def match_rows(made: Fleet, by: Kept) -> list[dict[str, Any]]:
    """A match of each message that was kept, within its block."""
    found = []
    for number in np.flatnonzero(by.messages).tolist():
        block = int(made.block[number])
        latency_ns = int(made.latency[number])
        place = {
            "connection": int(made.of_block[block]),
            "begin": (block << 16) + 1,
            "end": (block << 16) + 9,
        }
        found.append(match(number % 1000, delivery_ns=latency_ns, keep=by.keep, **place))
    return found


def parts(made: Fleet, by: Kept, partitions: int) -> list[dict[str, Any]]:
    """Histogram parts by partition."""
    connection = made.of_block[made.block]
    rows = []
    for partition in range(partitions):
        own = by.messages & (connection * 2_654_435_761 % 2**32 % partitions == partition)
        values = made.latency[own].astype(int).tolist()
        rows.append(histogram(values, keep=by.keep, topic_partition=partition))
    return rows


def near(low: int | None, truth: float, high: int | None) -> bool:
    """Whether limits hold the truth; twice as wide, since of 95 % limits one in twenty does not."""
    assert low is not None
    assert high is not None
    return low - (high - low) / 2 <= truth <= high + (high - low) / 2


def delivery(answer: Answer) -> Latency:
    (figure,) = (one for one in answer.figures if one.kind == "delivery")
    return figure


def limits(figure: Latency) -> list[int | None]:
    return [figure.p50_low_ns, figure.p50_high_ns, figure.p99_low_ns, figure.p99_high_ns]


def test_limits_from_messages_hold_the_truth(write: Write) -> None:
    """Of blocks and connections; the number of messages, too."""
    made, by = sampled()
    figure = delivery(latency(write(match=match_rows(made, by), histogram=parts(made, by, 1)), SPAN))
    every = np.sort(made.latency)
    assert figure.n == figure.seen == int(by.messages.sum())
    assert figure.messages == round(figure.n / by.keep)
    assert near(figure.messages_low, every.size, figure.messages_high)
    for q, low, high in (
        (0.5, figure.p50_low_ns, figure.p50_high_ns),
        (0.9, figure.p90_low_ns, figure.p90_high_ns),
    ):
        assert near(low, value(every, q), high)
        assert 0 < (high or 0) < 2 * (low or 0)


@pytest.mark.parametrize("kind", ["delivery", "wire"])
@pytest.mark.parametrize("second", ["alpha", "beta"], ids=["receiver first", "sender first"])
def test_latencies_between_hosts_have_limits_too(write: Write, second: str, kind: str) -> None:
    """Brought onto one clock by the solved one, which runs 20 ppm fast and is an hour ahead."""
    made, by = sampled()
    ahead, skew, base = 3_600 * 10**9, 20e-6, 10**12

    def offset(monotonic: float) -> int:
        return int(ahead + skew * (monotonic - base))

    rows = []
    for number, row in enumerate(match_rows(made, by)):
        truth, sent = row["delivery_ns"], base + 40 * number * 10**6 % (50 * 10**9)
        stamps = {"sent_monotonic_ns": sent, "received_monotonic_ns": sent + truth}
        if second == "beta":
            stamps["received_monotonic_ns"] += offset(sent)
        else:
            stamps["sent_monotonic_ns"] += offset(sent + truth)
        boots = {"sender_boot": "alpha", "receiver_boot": "beta"}
        wrong = {"delivery_ns": 10**15, "wire_ns": 10**15 - 2_000, "receive_wait_ns": 2_000}
        rows.append(row | stamps | boots | wrong | {"clock": "unsynced"})
    times = [base + n * 2 * 10**9 for n in range(31)]
    solved = {
        "window_start_ns": START, "window_ns": 60 * 10**9, "status": "bounded", "times": times,
        "offsets": [offset(at) for at in times], "low_offsets": [offset(at) - 9 for at in times],
        "high_offsets": [offset(at) + 9 for at in times],
        "first_boot": "alpha" if second == "beta" else "beta", "second_boot": second,
    }  # fmt: skip
    less = 2_000 if kind == "wire" else 0
    values = [int(one) - less for one in made.latency[by.messages]]
    rolled = rollup(values, keep=by.keep, measure=kind, clock_bound_ns=9)
    source = write(match=rows, clock_solution=[solved], rollup=[rolled])
    (figure,) = latency(source, SPAN, kinds=kind).figures
    assert figure.clock_bound_ns == 9
    assert near(figure.p50_low_ns, value(np.sort(made.latency), 0.5) - less, figure.p50_high_ns)


def test_without_messages_partitions_tell(write: Write) -> None:
    """Wider limits; with few partitions none; nor from messages that are not those of the histogram."""
    made, by = sampled()
    some = match_rows(made, by)[:-1]
    by_partition = delivery(latency(write(match=some, histogram=parts(made, by, 16)), SPAN))
    assert near(by_partition.p50_low_ns, value(np.sort(made.latency), 0.5), by_partition.p50_high_ns)
    assert by_partition.messages_low is None


def test_too_few_partitions_tell_nothing(write: Write) -> None:
    """The figures are there, their limits are not."""
    made, by = sampled()
    figure = delivery(latency(write(histogram=parts(made, by, 4)), SPAN))
    assert figure.n > 0
    assert limits(figure) == [None] * 4


def test_parts_weigh_what_they_stand_for(write: Write) -> None:
    """Kept by a twenty-fifth or all: percentiles, mean and number are those of all that there were."""
    rows = [histogram([1_000] * 60), histogram([50_000] * 4, keep=KEEP), histogram([0, 0, -7], keep=0.5)]
    figure = delivery(latency(write(histogram=rows), SPAN))
    assert (figure.n, figure.messages) == (67, 60 + 100 + 6)
    assert figure.p50_ns == pytest.approx(50_000, rel=0.02)
    assert figure.mean_ns == pytest.approx((60 * 1_000 + 100 * 50_000 - 14) / 166, abs=1)
    assert (figure.min_ns, figure.max_ns) == (-7, 50_000)


def test_of_what_was_kept_wholly_nothing_is_estimated(write: Write) -> None:
    """Exact as ever, with no limits."""
    figure = delivery(latency(write(histogram=[histogram([5, 6, 7])], match=[match(1)]), SPAN))
    assert (figure.messages, limits(figure)) == (3, [None] * 4)
