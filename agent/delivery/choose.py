# SPDX-License-Identifier: Apache-2.0
"""Puts delivery together as the settings say: with a spool on the disk, or with memory only."""

from agent.delivery.kafka import KafkaDelivery
from agent.delivery.pace import Pace
from agent.delivery.spooled import SpooledDelivery
from agent.ledger import Ledger
from agent.spool.keeper import Keeper
from agent.spool.record import Run
from agent.spool.settings import SpoolSection
from agent.spool.store import Store
from common.kafka import KafkaSettings


def delivery_of(
    kafka: KafkaSettings, spool: SpoolSection, ledger: Ledger, run: Run, realtime_offset_ns: int
) -> KafkaDelivery:
    """Return the delivery of one agent run; ``begin`` opens it."""
    if spool.folder is None:
        return KafkaDelivery(kafka, ledger)
    keeper = Keeper(Store(spool.folder, spool.limits, run, realtime_offset_ns), kafka.buffer)
    return SpooledDelivery(kafka, ledger, keeper, Pace(spool.drain, spool.after), spool.after)
