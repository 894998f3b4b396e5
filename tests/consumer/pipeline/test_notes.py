# SPDX-License-Identifier: Apache-2.0
"""Who takes a partition over publishes what the last commit left, unless the group notes that it went out."""

from consumer.publish.message import Delivery
from consumer.source.topics import Mark
from support.fake_pipeline import EVENTS, FakeLake
from support.fake_service import Bench

DOWN = Delivery(0, 1, 0, "timed out")


def test_who_takes_over_publishes_what_the_last_commit_left(bench: Bench) -> None:
    bench.kafka.deliveries = [DOWN]
    bench.kafka.records = [b"x"] * 3
    bench.turn(5)
    bench.service = bench.start()
    bench.service.assigned([EVENTS])
    bench.turn(6)
    assert len(bench.kafka.sent) == 3


def test_who_takes_over_does_not_publish_what_is_noted_as_published(bench: Bench) -> None:
    bench.kafka.records = [b"x"] * 3
    bench.turn(5)
    bench.service = bench.start()
    bench.service.assigned([EVENTS])
    bench.turn(6)
    assert len(bench.kafka.sent) == 3


def test_a_note_of_another_commit_is_no_proof(bench: Bench) -> None:
    bench.kafka.records = [b"x"] * 3
    bench.turn(5)
    bench.kafka.noted = {EVENTS: Mark(9, "")}
    bench.service = bench.start()
    bench.service.assigned([EVENTS])
    bench.turn(6)
    assert len(bench.kafka.sent) == 6
    assert len({record.value for record in bench.kafka.sent}) == 3, "the same records again"


def test_a_note_that_cannot_be_read_is_no_proof_and_no_failure(bench: Bench) -> None:
    bench.kafka.records = [b"x"] * 3
    bench.turn(5)
    bench.kafka.mute = True
    bench.service = bench.start()
    assert bench.service.assigned([EVENTS]) == {EVENTS: 3}
    bench.turn(6)
    assert len({record.value for record in bench.kafka.sent}) * 2 == len(bench.kafka.sent) == 6


def test_a_note_of_another_lake_is_no_proof(bench: Bench) -> None:
    """A second lake, filled by the same group from a later record on, comes to the same place."""
    bench.kafka.records = [b"x"] * 4
    bench.turn(5)
    bench.kafka.low = 1
    bench.lake = FakeLake()
    bench.kafka.deliveries = [DOWN]
    bench.service = bench.start()
    bench.kafka.seek(bench.service.assigned([EVENTS]))
    bench.turn(5)
    assert (bench.ticks(), len(bench.kafka.sent)) == ([1, 2, 3], 4)
    bench.service = bench.start()
    bench.service.assigned([EVENTS])
    bench.turn(6)
    assert len(bench.kafka.sent) == 7


def test_what_went_out_late_is_noted_and_not_sent_again(bench: Bench) -> None:
    bench.kafka.deliveries = [DOWN]
    bench.kafka.records = [b"x"] * 3
    bench.turn(11)
    assert bench.kafka.noted[EVENTS].next_offset == 3
    bench.service = bench.start()
    bench.service.assigned([EVENTS])
    bench.turn(6)
    assert len(bench.kafka.sent) == 3
