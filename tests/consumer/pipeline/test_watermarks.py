# SPDX-License-Identifier: Apache-2.0
"""What a partition is told of hosts: by heartbeats, in the broker's time, once it has read what they say."""

from typing import Any

from consumer.engine import EngineSettings, EventEngine, Peers, Record
from consumer.pipeline.watermarks import Follower, Patience, Watermarks
from schemas.batch import encode
from schemas.control import VERSION, Heartbeat
from schemas.control import encode as encode_heartbeat
from schemas.event import Kind
from tests.consumer.engine.scene import BASE_MS, Host, ends, send

PATIENCE = Patience(slack=1_000, silence=20_000, longest=60_000)
SETTINGS = EngineSettings(tick_ms=1_000, horizon_ms=4_000)


def beat(at_ms: int, *, age_ms: int = 0, last: int | None = None, **more: Any) -> Record:
    """A heartbeat of beta; ``last``: sequence acknowledged in shard 0."""
    values: dict[str, Any] = {
        "version": VERSION, "host": "beta", "boot": "boot", "epoch": 7, "sequence": 0,
        "sent_at_ns": 0, "monotonic_ns": 0, "oldest_undelivered_ns": age_ms * 1_000_000,
        "acknowledged": {} if last is None else {0: last}, "totals": (),
    }  # fmt: skip
    return Record(0, BASE_MS + at_ms, encode_heartbeat(Heartbeat(**{**values, **more})))


class Scene:
    """An engine that has heard of both hosts, and what follows it."""

    def __init__(self) -> None:
        self.engine = EventEngine(0, SETTINGS)
        self.known = Watermarks(PATIENCE)
        self.follower = Follower(0)
        self.beta = Host("beta")
        self.offset = 0
        self.read(0, Host("alpha").batch([ends()[0]], {Kind.SEND: [send(0, 10, 0)]}))
        self.read(0)

    def read(self, at_ms: int, batch: Any = None) -> None:
        """Have the partition read a batch of a time, of beta where none is given."""
        value = encode(batch or self.beta.batch([ends()[1]], {}))
        self.engine.apply([Record(self.offset, BASE_MS + at_ms, value)])
        self.offset += 1

    def clock(self, at_ms: int) -> None:
        """Have the partition see a time."""
        self.read(at_ms, Host("clock", sequence=self.offset).batch([], {}))

    def hear(self, *records: Record) -> Peers:
        """Take heartbeats and return what the engine is told."""
        self.known.take(records)
        found = self.follower.peers(self.engine, self.known)
        self.engine.hear(found)
        return found


def behind(at_ms: int) -> Peers:
    return Peers({"beta": BASE_MS + at_ms})


def test_a_host_in_time_is_not_told_of() -> None:
    """Nor one that never wrote a heartbeat, nor one whose name the partition has not heard."""
    scene = Scene()
    scene.clock(9_000)
    assert scene.hear() == Peers()
    assert scene.hear(beat(9_000, last=0), beat(9_000, age_ms=9_000, host="other")) == Peers()


def test_the_watermark_is_the_brokers_time_less_the_age() -> None:
    """No clock of the host is in it: its own times may be of any year."""
    scene = Scene()
    scene.clock(9_000)
    for wrong in (0, 2**62):
        told = scene.hear(beat(9_000, age_ms=5_000, last=0, sent_at_ns=wrong, monotonic_ns=wrong))
        assert told == behind(4_000)
    assert scene.hear(beat(9_000, age_ms=900, last=0)) == Peers()


def test_a_heartbeat_ahead_of_the_data_is_believed_once_they_are_read() -> None:
    """Until then the host's watermark is the one taken last."""
    scene = Scene()
    scene.clock(9_000)
    assert scene.hear(beat(9_000, age_ms=8_000, last=0)) == behind(1_000)
    assert scene.hear(beat(9_500, last=2)) == behind(1_000)
    scene.read(9_600)
    assert scene.hear() == behind(1_000)
    scene.read(9_700)
    assert scene.hear() == Peers()


def test_newer_heartbeats_do_not_move_the_goal() -> None:
    """A partition that is read more slowly than it is written still comes on."""
    scene = Scene()
    scene.clock(9_000)
    assert scene.hear(beat(9_000, age_ms=8_000, last=0)) == behind(1_000)
    assert scene.hear(beat(9_100, age_ms=6_000, last=1)) == behind(1_000)
    assert scene.hear(beat(9_200, age_ms=2_000, last=5)) == behind(1_000)
    scene.read(9_300)
    assert scene.hear() == behind(3_100)


def test_what_was_deleted_before_this_lake_began_is_not_waited_for() -> None:
    """A number that the partition will never see is good once the broker's time is beyond the heartbeat."""
    scene = Scene()
    scene.clock(9_000)
    assert scene.hear(beat(9_000, age_ms=8_000, last=0)) == behind(1_000)
    assert scene.hear(beat(9_900, last=99)) == behind(1_000)
    scene.clock(10_900)
    assert scene.hear() == behind(1_000)
    scene.clock(10_901)
    assert scene.hear() == behind(9_900)


def test_a_host_that_says_nothing_is_waited_for_until_it_counts_as_silent() -> None:
    """One that says good-bye and owes nothing is silent at once."""
    scene = Scene()
    scene.hear(beat(0, last=0))
    scene.clock(20_000)
    assert scene.hear() == behind(0)
    scene.clock(20_001)
    assert scene.hear() == Peers({}, ("beta",))
    assert scene.hear(beat(20_001, last=0)) == Peers()
    assert scene.hear(beat(20_001, last=0, final=True)) == Peers({}, ("beta",))
    assert scene.hear(beat(20_001, age_ms=5_000, last=0, final=True)) == behind(15_001)
    assert scene.hear(beat(20_001, last=0, epoch=8)) == Peers({"beta": BASE_MS + 15_001})


def test_nobody_is_waited_for_longer_than_the_longest() -> None:
    """A host that goes on saying that it is behind does not fill the memory."""
    scene = Scene()
    scene.clock(60_000)
    assert scene.hear(beat(60_000, age_ms=60_000, last=0)) == behind(0)
    scene.clock(60_001)
    assert scene.hear() == Peers({}, ("beta",))


def test_a_restored_engine_goes_on_from_the_watermark_that_it_had() -> None:
    """Whoever takes a partition over does not take unread data for read."""
    scene = Scene()
    scene.clock(9_000)
    assert scene.hear(beat(9_000, age_ms=8_000, last=0)) == behind(1_000)
    scene.engine = EventEngine.restore(scene.engine.snapshot(), 0, SETTINGS)
    scene.follower = Follower(0)
    assert scene.hear(beat(9_500, last=2)) == behind(1_000)


def test_what_is_no_heartbeat_is_passed_over() -> None:
    known = Watermarks(PATIENCE)
    known.take([Record(0, BASE_MS, b"junk"), beat(0)])
    assert list(known.beats) == ["beta"]
