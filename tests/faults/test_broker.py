# SPDX-License-Identifier: Apache-2.0
"""The broker dies, hangs, is slow, refuses or never comes back under an agent's delivery with its spool.

Each ends in what was sent against what a consumer keeps of the topic, and the agent's own account.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.spool.inspect import reports
from agent.spool.limits import WhenFull
from common.kafka_security import SecuritySettings
from common.units import ByteSize, Duration
from support.faults import Faults
from support.kafka import KafkaNode
from support.secure import PASSWORD, SecureKafka
from support.sender import QUICK, SHARDS, Kept, Sender, tell
from support.spool import LATER
from support.topics import Topics

pytestmark = pytest.mark.kafka
HANGING_SECONDS = 0.5
DELIVERY_TIMEOUT = Duration(0.5)
TIMEOUTS = 5
"""10 minutes are as many of the default delivery timeouts."""


def for_seconds(seconds: float) -> Callable[[], bool]:
    """Return what becomes true after so long."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def test_a_broker_ends_and_comes_back_under_load(node: KafkaNode, tmp_path: Path, faults: Faults) -> None:
    """Killed, every other time stopped in order, and away for as many delivery timeouts as 10 minutes have.

    What is on its way times out and is sent again from the spool; load goes on all the while.
    """
    topic, seconds, times = Topics(node.bootstrap)("events", SHARDS), 0.0, faults.times(6, 1)
    quick = {"delivery_timeout": DELIVERY_TIMEOUT, "options": {**QUICK, "socket.timeout.ms": 1000}}
    sender = Sender(node.bootstrap, topic, tmp_path / "spool", kafka=quick)
    for number in range(times):
        sender.warm()
        (node.stop if number % 2 else node.kill)()
        sender.load(for_seconds(TIMEOUTS * DELIVERY_TIMEOUT))
        assert sender.delivery.spool.figures.records > 0
        assert sender.delivery.last_error != ""
        node.start()
        seconds = max(seconds, sender.recovered())
    sender.load(for_seconds(0.2))
    sender.until(sender.is_settled)
    assert sender.end() == 0
    assert sender.delivery.last_error == "", "it is no trouble any more"
    kept = Kept(node.bootstrap, topic)
    assert sorted(kept.names) == sender.names()
    assert sender.lost() == {}
    told = "broker killed under load, away for 5 delivery timeouts (10 min by default)"
    tell(faults, told, sender, kept, recovery_seconds=seconds, times=times)


def test_a_broker_hangs_and_goes_on_under_load(node: KafkaNode, tmp_path: Path, faults: Faults) -> None:
    """What it took in while nobody waited for its answer any more comes twice, and is kept once."""
    topic, seconds, times = Topics(node.bootstrap)("events", SHARDS), 0.0, faults.times(10, 1)
    sender = Sender(node.bootstrap, topic, tmp_path / "spool")
    for _ in range(times):
        sender.warm()
        node.suspend()
        sender.load(lambda: sender.delivery.spool.figures.records > 0)
        sender.load(for_seconds(HANGING_SECONDS))
        node.resume()
        seconds = max(seconds, sender.recovered())
    sender.until(sender.is_settled)
    assert sender.end() == 0
    kept = Kept(node.bootstrap, topic)
    assert sorted(kept.names) == sender.names()
    assert sender.lost() == {}
    assert kept.duplicates > 0
    tell(faults, "broker hung (SIGSTOP) under load", sender, kept, recovery_seconds=seconds, times=times)


@pytest.mark.parametrize("when_full", ["drop-oldest", "drop-newest"])
def test_a_broker_never_comes_back_and_the_spool_gets_full(
    free_port: int, tmp_path: Path, faults: Faults, when_full: WhenFull
) -> None:
    """What has no place is lost and counted; what waits is whole, and is the newest or the oldest."""
    folder = tmp_path / "spool"
    sender = Sender(
        f"127.0.0.1:{free_port}", "events", folder, max_bytes=ByteSize(2**20), when_full=when_full
    )
    sender.send(1)
    sender.until(lambda: sender.delivery.waiting > 0)
    for _ in range(20):
        sender.send(5, 20_000)
        assert sender.delivery.spool.flush(60)
        sender.delivery.poll()
    waiting = sender.delivery.close(0, time.monotonic)
    sender.delivery.end()
    held = list(reports(folder, verify=True))
    assert sum(one.records for one in held) == waiting
    assert not [one for one in held if one.problem]
    lost = sender.lost()
    assert list(lost) == ["spool/quota"]
    faults.tell(
        f"broker down for ever, spool full, {when_full}",
        events=sender.events,
        stored=sum(one.events for one in held),
        lost=lost,
        where="spool",
    )


def test_acknowledgements_come_slowly(node: KafkaNode, tmp_path: Path, faults: Faults) -> None:
    """The broker hangs again and again, each time for longer than `spool.after`, while load goes on."""
    topic = Topics(node.bootstrap)("events", SHARDS)
    sender = Sender(node.bootstrap, topic, tmp_path / "spool", after=Duration(0.1))
    sender.warm()
    end = threading.Event()

    def slow() -> None:
        while not end.wait(0.1):
            node.suspend()
            end.wait(0.25)
            node.resume()

    slower = threading.Thread(target=slow)
    slower.start()
    try:
        sender.load(for_seconds(2))
    finally:
        end.set()
        slower.join()
    sender.until(sender.is_settled)
    assert sender.end() == 0
    kept = Kept(node.bootstrap, topic)
    assert sorted(kept.names) == sender.names()
    tell(faults, "slow acknowledgements: the broker stands still 5 of 7 times", sender, kept)


def test_records_that_the_broker_finds_too_large(node: KafkaNode, tmp_path: Path, faults: Faults) -> None:
    """Its limit is below the agent's: these are lost and counted, and hold up nothing that comes after."""
    topic = Topics(node.bootstrap)("events", SHARDS, max_message_bytes="10000")
    kafka = {"compression": "none"}
    sender = Sender(node.bootstrap, topic, tmp_path / "spool", kafka=kafka)
    sender.send(3)
    sender.until(sender.is_settled)
    sender.send(4, 20_000)
    sender.until(sender.is_settled)
    sender.send(3)
    sender.until(sender.is_settled)
    assert sender.end() == 0
    kept = Kept(node.bootstrap, topic)
    assert {n for _, _, n in kept.names} == {0, 1, 2, 7, 8, 9}
    assert list(sender.lost()) == ["kafka/msg-size-too-large"]
    tell(faults, "records above the broker's limit (message.max.bytes)", sender, kept)


def test_a_broker_of_another_name_gets_nothing(secure: SecureKafka, tmp_path: Path, faults: Faults) -> None:
    """TLS with a certificate of another name: all waits in the spool until a later run is right."""
    topic = Topics(secure.node.bootstrap)("events", SHARDS)
    kafka = {"security": SecuritySettings(**secure.security("TLS"))}
    wrong = Sender(secure.node.address("OTHER"), topic, tmp_path / "spool", kafka=kafka)
    wrong.load(lambda: wrong.delivery.spool.figures.records > 20)
    wrong.until(lambda: "kafka.bootstrap-servers" in wrong.delivery.last_error)
    left = wrong.delivery.close(0, time.monotonic)
    wrong.delivery.end()
    assert left == sum(wrong.next)
    right = Sender(secure.node.address("TLS"), topic, tmp_path / "spool", LATER, kafka=kafka)
    seconds = right.recovered()
    right.until(right.is_settled)
    assert right.end() == 0
    kept = Kept(secure.node.bootstrap, topic)
    assert sorted(kept.names) == wrong.names()
    assert right.delivery.earlier.events == {"delivered": wrong.events}
    faults.tell(
        "broker's certificate of another name, then the right broker",
        events=wrong.events,
        stored=kept.events,
        duplicates=kept.duplicates,
        recovery_seconds=seconds,
        where="topic",
    )


def test_a_password_is_changed_at_the_broker_and_later_in_the_file(
    secure: SecureKafka, tmp_path: Path, faults: Faults
) -> None:
    """While it runs: it is refused, says which setting, spools, and takes the new password up by itself."""
    topic, file = Topics(secure.node.bootstrap)("events", SHARDS), tmp_path / "password"
    file.write_text(PASSWORD)
    security = secure.security("SASL", "scram-sha-512", password_file=file)
    kafka = {"security": SecuritySettings(**security)}
    sender = Sender(secure.node.address("SASL"), topic, tmp_path / "spool", kafka=kafka)
    sender.warm()
    secure.set_password("changed")
    try:
        sender.load(lambda: "kafka.security.password-file" in sender.delivery.last_error)
        sender.load(lambda: sender.delivery.spool.figures.records > 0)
        file.write_text("changed")
        seconds = sender.recovered()
        sender.load(for_seconds(0.2))
        sender.until(sender.is_settled)
        assert sender.end() == 0
    finally:
        secure.set_password(PASSWORD)
    kept = Kept(secure.node.bootstrap, topic)
    assert sorted(kept.names) == sender.names()
    tell(
        faults,
        "password changed at the broker, then in the agent's file",
        sender,
        kept,
        recovery_seconds=seconds,
    )
