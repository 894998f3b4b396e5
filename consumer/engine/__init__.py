# SPDX-License-Identifier: Apache-2.0
"""The state machine of one partition: records in, Arrow rows out, a snapshot at any time, no I/O.

engine = EventEngine(partition, EngineSettings())
output = engine.apply(records)      # rows of complete ticks, poison
blob = engine.snapshot()
engine = EventEngine.restore(blob, partition, EngineSettings())
"""

from consumer.engine.control import ControlEngine
from consumer.engine.events import EventEngine
from consumer.engine.peers import Peers
from consumer.engine.records import Output, Poison, Record
from consumer.engine.settings import EngineSettings, SnapshotError

__all__ = [
    "ControlEngine",
    "EngineSettings",
    "EventEngine",
    "Output",
    "Peers",
    "Poison",
    "Record",
    "SnapshotError",
]
