# SPDX-License-Identifier: Apache-2.0
"""Made-up traffic between hosts whose clocks are apart by a known amount: every latency has a known truth."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from msgspec.structs import replace as changed

from schemas import control as control_codec
from schemas.batch import EventBatch
from schemas.control import Reading
from support.batches import Fleet
from support.consumer import World, read_kind

SECOND_NS = 10**9


@dataclass
class ApartFleet(Fleet):
    """Two hosts of their own boots; `beta`'s CLOCK_MONOTONIC is ahead, their CLOCK_REALTIME is one."""

    boots: tuple[str, ...] = ("boot-alpha", "boot-beta")
    ahead_ns: int = 7_654_321_000
    beats: int = 0

    def wait(self, ns: int) -> None:
        """Let time pass without a message."""
        self._now += ns

    def heartbeat(self, host: int, sequence: int) -> tuple[bytes, bytes]:
        """Return a heartbeat with a reading of the host's clocks, which run alike."""
        key, value = super().heartbeat(host, sequence)
        ahead = self.ahead_ns * host
        reading = Reading(self._now + ahead, 0, 200, self.realtime_offset_ns - ahead)
        return key, control_codec.encode(changed(control_codec.decode(value), readings=(reading,)))

    def _pack(self, host: int, shard: int, traffic: Any) -> EventBatch:  # noqa: ANN401 - a private class
        ahead = self.ahead_ns * host
        times = {name: getattr(traffic, name) + ahead for name in ("sent", "arrived", "read")}
        batch = super()._pack(host, shard, replace(traffic, **times))
        return changed(
            batch, packed_ns=batch.packed_ns + ahead, realtime_offset_ns=batch.realtime_offset_ns - ahead
        )


def talk(world: World, fleet: ApartFleet, seconds: int) -> None:
    """Have both hosts talk for a time, with heartbeats each second, in the topics of a world."""
    for _ in range(seconds):
        world.send(_second(fleet))
        for host in range(2):
            world.beat(*fleet.heartbeat(host, fleet.beats))
        fleet.beats += 1


def _second(fleet: ApartFleet) -> Iterator[tuple[int, bytes]]:
    for _ in range(4):
        yield from fleet.talk(1)
        fleet.wait(199_000_000)


def truth(lake: Path, ahead_ns: int) -> list[dict[str, Any]]:
    """Return the matches of a lake with `truth_ns`: their latency, by how far `beta` is ahead."""
    rows: list[dict[str, Any]] = read_kind(lake, "match").to_pylist()
    for row in rows:
        apart = ahead_ns if row["receiver_boot"] == "boot-beta" else -ahead_ns
        row["truth_ns"] = row["received_monotonic_ns"] - row["sent_monotonic_ns"] - apart
    return rows
