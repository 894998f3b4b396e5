# SPDX-License-Identifier: Apache-2.0
"""The agent's own way to Kafka, as ``run`` builds it: delivery with a spool behind it, tickets, ledger.

Reads a file of values as client.c does, and prints seconds of wall clock and of CPU likewise.
"""

import argparse
import resource
import struct
import time
from pathlib import Path

from agent.delivery.choose import delivery_of
from agent.delivery.kafka import KafkaDelivery
from agent.delivery.outstanding import Ticket
from agent.ledger import DELIVERED, Ledger
from agent.settings import AgentSettings
from agent.spool.record import Run
from common.config import load

PAUSE_SECONDS = 0.001
EVENTS = 4_096
_LENGTH = struct.Struct("<I")


def values(path: Path) -> list[bytes]:
    """Return the values of a file: 32 bits of length, then that many bytes."""
    whole, found, at = path.read_bytes(), [], 0
    while at < len(whole):
        (length,) = _LENGTH.unpack_from(whole, at)
        at += _LENGTH.size + length
        found.append(whole[at - length : at])
    return found


class Way:
    """A delivery, and how many bytes are on their way."""

    def __init__(self, settings: AgentSettings, window: int) -> None:
        self.ledger = Ledger()
        self._shards = settings.kafka.shards
        self._window = window
        self.delivery: KafkaDelivery = delivery_of(
            settings.kafka, settings.spool, self.ledger, Run("bench", "boot", 1, self._shards), 0
        )
        self._sequences = [0] * self._shards
        self._handed = 0

    def send(self, number: int, value: bytes) -> None:
        """Hand a record over, and wait while too many are on their way."""
        shard = number % self._shards
        ticket = Ticket(shard, self._sequences[shard], EVENTS, time.monotonic_ns())
        self._sequences[shard] += 1
        self._handed += len(value)
        self.delivery.send(value, ticket)
        if not (number + 1) % self._shards:  # a turn of the agent: a record a shard, then one poll
            self.delivery.poll()
        while self._handed - self.delivery.record_bytes > self._window:
            self._wait()

    def finish(self) -> None:
        """Wait until all has arrived."""
        while self.delivery.record_bytes < self._handed:
            self._wait()

    def _wait(self) -> None:
        time.sleep(PAUSE_SECONDS)
        self.delivery.poll()


def cpu() -> float:
    """Return the CPU seconds of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Send a file of values."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("values", type=Path)
    parser.add_argument("window", type=int)
    parser.add_argument("settings", nargs="+")
    arguments = parser.parse_args()
    way = Way(load(AgentSettings, overrides=arguments.settings), arguments.window)
    way.delivery.check_topic()
    way.delivery.begin()
    load_ = values(arguments.values)
    for number in range(len(way._sequences)):  # noqa: SLF001 - connections are there before the clock runs
        way.send(number, b"warm")
    way.finish()
    began, cpu_began = time.perf_counter(), cpu()
    for number, value in enumerate(load_):
        way.send(number, value)
    way.finish()
    print(f"{time.perf_counter() - began:.6f} {cpu() - cpu_began:.6f}")
    way.delivery.end()
    assert way.ledger.total(*DELIVERED) == EVENTS * (len(load_) + len(way._sequences))  # noqa: SLF001


if __name__ == "__main__":
    main()
