# SPDX-License-Identifier: Apache-2.0
"""What is looked at now and then: topics that changed although nothing comes, and the lag."""

import pytest
from confluent_kafka import Producer
from structlog.testing import capture_logs

from common.errors import TopicMismatchError
from consumer.pipeline.watch import share_of_kept
from consumer.pipeline.work import Work
from consumer.source.lag import NOT_KNOWN, KafkaLag, Keeping, Span
from consumer.source.topics import Partition
from demo.broker import InProcessBroker
from support.consumer import wait_for
from support.fake_pipeline import EVENTS, FakeEngine

DAY = 86_400_000
TOLD = "the lag is more than half of what Kafka keeps: add consumers, or have the topic keep more"


def test_a_topic_made_anew_is_found_although_nothing_comes(bench):
    bench.kafka.topic_id = "id-2"
    with pytest.raises(TopicMismatchError, match="while it was being read"):
        bench.turn(12)


def test_a_broker_that_does_not_answer_ends_nothing(bench):
    bench.kafka.records = [b"x"] * 3
    bench.kafka.away = True
    with capture_logs() as logs:
        bench.turn(30)
    assert [line["event"] for line in logs].count("cannot look at the topics") == 1


def test_the_lag_is_shown_while_the_partition_is_ours(bench):
    bench.kafka.records = [b"x"] * 8
    bench.lake.fail = ["before"] * 9
    bench.turn(12)
    assert bench.counts()["lag_records{partition=0,topic=events}"] == 8
    bench.service.revoked([EVENTS], lost=True)
    bench.turn(12)
    assert "lag_records{partition=0,topic=events}" not in bench.counts()


def test_more_than_half_of_what_is_kept_is_told_in_the_log(bench):
    bench.kafka.records = [b"x"] * 8
    bench.kafka.kept = Keeping(3_600_000, by_size=False)  # the records are of 1970
    bench.lake.fail = ["before"] * 9
    with capture_logs() as logs:
        bench.turn(12)
    (line,) = [line for line in logs if line["event"] == TOLD]
    assert (line["worst"], line["log_level"]) == ("events/0", "error")
    assert bench.counts()["lag_share{partition=0,topic=events}"] > 1


@pytest.mark.parametrize(
    ("committed", "since_ms", "span", "keeping", "share"),
    [
        (5, 0, Span(0, 5), Keeping(DAY, by_size=True), 0.0),
        (5, DAY // 4, Span(0, 6), Keeping(DAY, by_size=False), 0.75),
        (5, None, Span(0, 6), Keeping(DAY, by_size=False), 0.0),
        (5, 2 * DAY, Span(0, 6), Keeping(DAY, by_size=False), 0.0),
        (5, None, Span(0, 10), Keeping(None, by_size=True), 0.0),
        (5, None, Span(2, 10), Keeping(None, by_size=True), 5 / 8),
        (1, None, Span(2, 10), Keeping(None, by_size=True), 9 / 8),
        (5, None, Span(2, 10), Keeping(None, by_size=False), 0.0),
        (5, DAY // 2, Span(2, 10), Keeping(DAY, by_size=True), 5 / 8),
    ],
)
def test_the_share_is_by_age_or_by_size_whichever_ends_first(committed, since_ms, span, keeping, share):
    work = Work(EVENTS, "id-1", FakeEngine(), committed, flushed=True, quiet_since=0.0)
    work.waiting_since_ms = since_ms
    assert share_of_kept(work, span, keeping, now_ms=DAY) == pytest.approx(share)


def test_a_real_broker_tells_what_it_has_and_for_how_long(kafka, topics):
    kept, small = topics("kept", 2, retention_ms="7000"), topics("small", 1, retention_bytes="9")
    last = topics("last", 1, cleanup_policy="compact")
    asked = KafkaLag({"bootstrap.servers": kafka})
    assert asked.spans([Partition(kept, 0), Partition(kept, 1)]) == {
        Partition(kept, 0): Span(0, 0),
        Partition(kept, 1): Span(0, 0),
    }
    for topic, keeping in (
        (kept, Keeping(7000, by_size=False)),
        (small, Keeping(604_800_000, by_size=True)),
        (last, Keeping(None, by_size=False)),
    ):
        assert asked.keeping(topic) == NOT_KNOWN, "it does not wait"
        wait_for(lambda topic=topic, keeping=keeping: asked.keeping(topic) == keeping)


def test_the_in_process_broker_tells_no_retention():
    broker = InProcessBroker()
    Producer({"bootstrap.servers": broker.address}).list_topics("wirelag.events.v1", timeout=60)
    asked = KafkaLag({"bootstrap.servers": broker.address})
    here = Partition("wirelag.events.v1", 0)
    assert asked.spans([here]) == {here: Span(0, 0)}
    assert asked.keeping(here.topic) == asked.keeping(here.topic) == NOT_KNOWN


def test_age_is_that_of_what_is_not_committed(bench):
    bench.kafka.records = [b"x"] * 3
    bench.turn(6)
    (work,) = bench.service.owned.works.values()
    assert work.waiting_since_ms == 1000
