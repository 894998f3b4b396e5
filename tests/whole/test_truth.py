# SPDX-License-Identifier: Apache-2.0
"""What wirelag answers, held against what applications did: the whole way, with a real Kafka."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from schemas.event import Flag
from support.consumer import read_kind
from support.netns import Network, VethPair, hosts_of
from support.scenarios import SCENARIOS, Truth, both
from support.topics import Topics
from support.traffic import joined
from support.whole_way import SHARDS, AgentProcess, Names, consume, query

pytestmark = pytest.mark.kernel
CLOCK_READING_NS = 1_000_000
"""sent_at_ns is of CLOCK_REALTIME, read once a batch; between readings it may be steered."""


class Answers(NamedTuple):
    """The truth of each scenario and what the lake says."""

    truths: dict[str, list[Truth]]
    messages: dict[tuple[int, int], list[dict[str, Any]]]
    matches: list[dict[str, Any]]
    """The lake's rows of them."""
    latency: list[dict[str, Any]]
    totals: dict[str, int]
    losses: list[dict[str, Any]]
    realtime_offset_ns: int


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with VethPair() as network:
        yield network


@pytest.fixture(scope="module")
def answers(network: Network, kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Run all traffic under one agent, then everything after it, and ask."""
    topics, lake = Topics(kafka), tmp_path_factory.mktemp("whole") / "lake"
    names = Names(kafka, topics("events", SHARDS), topics("control"), topics("latency"), topics("poison"))
    with joined(network) as older:
        older[0].send(bytes(5_000_000 // 50))
        older[1].receive_all(100_000)
        before = {end.port: sum(call.length for call in end.calls) for end in older}
        with AgentProcess(names, hosts_of(network)) as agent:
            truths = {name: scenario(network) for name, scenario in SCENARIOS.items()}
            older[0].send(bytes(3000))
            older[1].receive_all(3000)
            older[1].send(bytes(40))
            older[0].receive_all(40)
            truths["opened before the agent"] = both(*older)
        assert before[older[0].port] == 100_000
    consume(names, lake)
    messages = defaultdict(list)
    for row in query("messages", lake):
        messages[row["sender_port"], row["receiver_port"]].append(row)
    offset = time.time_ns() - time.monotonic_ns()
    latency = query("latency", lake, "--kind", "delivery,wire,receive-wait,send-block")
    matches = read_kind(lake, "match").to_pylist()
    return Answers(truths, messages, matches, latency, agent.totals, query("losses", lake), offset)


def every_flow(answers: Answers) -> Iterator[tuple[str, Truth, list[dict[str, Any]]]]:
    """Yield scenario, truth and matched messages of each direction in which something was sent."""
    for name, truths in answers.truths.items():
        for truth in truths:
            found = answers.messages[truth.sender_port, truth.receiver_port]
            if truth.sends:
                yield name, truth, sorted(found, key=lambda row: int(row["begin"]))


def test_matched_bytes_are_written_bytes_and_overlap_nowhere(answers: Answers) -> None:
    """Per connection and direction the matched ranges tile the stream, from the first byte to the last."""
    for name, truth, rows in every_flow(answers):
        begin = 100_000 if name == "opened before the agent" and truth.total > 100_000 else 0
        for row in rows:
            assert row["begin"] == begin, (name, truth.sender_port, row)
            begin = row["end"]
        assert begin == truth.total, (name, truth)


def test_messages_are_the_calls_the_application_made(answers: Answers) -> None:
    """Where one thread wrote, each message is one call: same begin, same end; where several did, as many."""
    for name, truth, rows in every_flow(answers):
        if name == "sendfile":
            continue
        if truth.shared:
            assert sum(row["last_piece"] for row in rows) == len(truth.sends), name
            continue
        wanted = [(call.position, call.position + call.length) for call in truth.sends]
        found = [(row["begin"], row["end"]) for row in rows]
        assert found == (
            wanted[1:] if name == "opened before the agent" and wanted[0][1] == 100_000 else wanted
        ), name


def test_each_message_was_sent_and_delivered_within_the_calls_that_did_it(answers: Answers) -> None:
    """No match is false: it begins in its send call and ends in the read that took its last byte."""
    for name, truth, rows in every_flow(answers):
        if truth.shared or name == "sendfile":
            continue
        for row in rows:
            sent = row["sent_at_ns"] - answers.realtime_offset_ns
            send = next(call for call in truth.sends if call.position == row["begin"])
            read = next(
                call for call in truth.reads if call.position < row["end"] <= call.position + call.length
            )
            assert send.before_ns - CLOCK_READING_NS <= sent <= send.after_ns + CLOCK_READING_NS, (name, row)
            delivered = sent + row["latency_ns"]
            assert read.before_ns - CLOCK_READING_NS <= delivered <= read.after_ns + CLOCK_READING_NS, (
                name,
                row,
            )


def test_no_latency_on_one_clock_is_negative(answers: Answers) -> None:
    """Both ends share the kernel's clock, so a message cannot arrive before it was sent."""
    assert all(row["latency_ns"] >= 0 for rows in answers.messages.values() for row in rows)
    assert all(row["min_ns"] >= 0 for row in answers.latency if "min_ns" in row)


def test_nothing_is_unaccounted_for(answers: Answers) -> None:
    """Kernel attempts = what Kafka acknowledged plus what the kernel skipped, and the lake says the same.

    The kernel skips a program that an interrupt finds running already, for whatever socket, and counts it.
    """
    totals = dict(answers.totals)
    skipped = totals.pop("kernel/missed", 0)
    attempted, delivered = totals.pop("kernel/attempted"), totals.pop("kafka/delivered")
    assert (totals, attempted) == ({}, delivered + skipped)
    ledger = {(row["stage"], row["reason"]): row["events"] for row in answers.losses}
    assert ledger.pop(("kernel", "missed"), 0) == skipped
    expected = {("kernel", "attempted"): attempted, ("kafka", "delivered"): delivered}
    assert ledger == {**expected, ("consumer", "stored"): delivered}


def test_every_answer_says_how_complete_it_is(answers: Answers) -> None:
    """Every message was read, so each row is as complete as the kernel's own record of what it skipped.

    But where a read is marked as one without an arrival, which dropped segments lead to now and then: nobody
    knows since when the messages that end in it were there.
    """
    assert {row["kind"] for row in answers.latency} == {"delivery", "wire", "receive-wait", "send-block"}
    share = answers.totals["kafka/delivered"] / answers.totals["kernel/attempted"]
    unseen = Counter(row["edge"] for row in answers.matches if row["wire_ns"] is None and row["last_piece"])
    for row in answers.latency:
        missing = unseen[row["edge"]] if row["kind"] in {"wire", "receive-wait"} else 0
        assert (row["n"] + missing) == row["seen"], row
        assert row["complete"] == pytest.approx(share * row["n"] / row["seen"]), (row, answers.totals)
        assert (row["complete"] == 1) == (share == 1 and not missing), row
    assert all(row["flags"] & Flag.NO_ARRIVAL for row in answers.matches if row["wire_ns"] is None)
    assert sum(unseen.values()) < len(answers.matches) / 20


def test_latency_rows_count_the_messages(answers: Answers) -> None:
    """Histograms hold each call once: n of delivery is the number of send calls seen."""
    delivered = sum(row["n"] for row in answers.latency if row["kind"] == "delivery")
    assert delivered == sum(row["last_piece"] for rows in answers.messages.values() for row in rows)


def test_traffic_in_other_namespaces_is_not_traced(network: Network, answers: Answers) -> None:
    """The filter by namespace holds in the kernel: every message is of the test's own hosts."""
    own = {network.a.ipv4, network.b.ipv4, network.a.ipv6, network.b.ipv6}
    rows = [row for rows in answers.messages.values() for row in rows]
    assert {row["sender_address"] for row in rows} | {row["receiver_address"] for row in rows} <= own
