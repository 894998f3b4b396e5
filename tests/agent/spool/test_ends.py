# SPDX-License-Identifier: Apache-2.0
"""Deliveries that end while Kafka is away: every event is on the disk or counted, however busy the host."""

import time
from pathlib import Path

import pytest

from agent.spool.inspect import reports as files
from common.units import ByteSize
from support.sender import PATIENCE_SECONDS, Sender
from support.spool import LATER

NOWHERE = ("127.0.0.1:1", "nowhere")
"""A broker that is not there, and a topic."""


def test_a_record_that_was_handed_out_as_its_file_was_dropped_is_counted_at_the_end(tmp_path: Path) -> None:
    """Nobody took it, so nothing became of it: it is lost like the rest of its file."""
    earlier = Sender(*NOWHERE, tmp_path / "spool")
    earlier.send(40)
    earlier.delivery.close(0, time.monotonic)
    earlier.delivery.end()
    later = Sender(*NOWHERE, tmp_path / "spool", LATER, max_bytes=ByteSize(2**18), file_bytes=ByteSize(2**16))
    keeper = later.delivery.spool
    keeper.give(8000)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not keeper._ready:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    later.send(20, 20_000)
    later.delivery.close(0, time.monotonic)
    later.delivery.end()
    held = [one for one in files(tmp_path / "spool", verify=True) if one.epoch == earlier.run.epoch]
    assert held == []
    assert sum(later.delivery.left.values()) == earlier.events


@pytest.mark.parametrize("reports", [True, False], ids=["late", "never"])
def test_what_is_recalled_at_the_end_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, reports: bool
) -> None:
    """On a busy host the client tells of it late: it is spooled all the same, or else counted."""
    monkeypatch.setattr("agent.delivery.kafka.RECALL_POLLS", 0)
    monkeypatch.setattr("agent.delivery.spooled.FLUSH_SECONDS", PATIENCE_SECONDS if reports else 0.1)
    sender = Sender(*NOWHERE, tmp_path / "spool")
    sender.send(5)
    if not reports:
        monkeypatch.setattr(sender.delivery, "_serve", lambda _seconds: None)
    sender.delivery.close(0, time.monotonic)
    sender.delivery.end()
    held = sum(one.events for one in files(tmp_path / "spool", verify=True))
    assert held + sender.ledger.lost() == sender.events
    assert (held > 0) == reports
