# SPDX-License-Identifier: Apache-2.0
"""`wirelag rematch`: look at what came unmatched since the last look, commit the corrections, wait, again."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import structlog

from common.errors import RuntimeFailure
from common.throttle import Throttle
from common.units import DAY_NS
from consumer.engine.names import EdgeName
from consumer.engine.records import combine
from consumer.late import exchanges
from consumer.late.correct import corrections
from consumer.late.find import IDENTITY, find, keys_of_both, open_rows
from consumer.late.publish import Publish, packed, unpacked
from consumer.late.taken import added_up
from lake.late import EXCHANGE, UNMATCHED, Late, Look

log = structlog.get_logger()
_LIGHT = ["connection", "direction", "side"]
_IDENTITY = {UNMATCHED: IDENTITY, EXCHANGE: exchanges.IDENTITY}
Rows = dict[str, pa.Table]


class Told(NamedTuple):
    """What a look did."""

    files: int
    """New files of unmatched rows, and of words for exchanges."""
    matches: int
    exchanges: int
    """Those that have network time now."""


@dataclass
class Rematch:
    """Looks at one lake; settings are those of the consumers that filled it."""

    lake: Late
    window_ns: int
    edge_names: Sequence[EdgeName] = ()
    reach_ns: int = DAY_NS
    """Ends of a connection are looked for in hours that are at most this far apart."""
    now_ms: Callable[[], int] = lambda: time.time_ns() // 10**6
    publish: Publish | None = None

    def once(self) -> Told:
        """Look once; what the last look owes is sent before, so that each sends what it led to at least once.

        Raises:
            RuntimeFailure: nothing, or perhaps nothing, was committed, or not sent: look again.
        """
        self._send()
        look = self.lake.look(self.reach_ns)
        if look is None:
            return Told(0, 0, 0)
        rows, joined = self._rows(look)
        parts = rows.get("histogram") if self.publish else None
        self.lake.commit(look, rows, None if parts is None else packed(parts))
        self._send()
        return Told(len(look.new), rows["match"].num_rows if "match" in rows else 0, joined)

    def follow(self, stop: threading.Event, every: float) -> None:
        """Look every so many seconds until told to stop."""
        throttle = Throttle()
        while not stop.is_set():
            try:
                told = self.once()
                if told.matches or told.exchanges:
                    log.info("late matches", **told._asdict())
            except RuntimeFailure as error:
                if (silent := throttle.due("look")) is not None:
                    log.warning("look failed, looking again", error=str(error), more=silent)
            stop.wait(every)

    def _send(self) -> None:
        if self.publish is not None and (owed := self.lake.owed()) is not None:
            version, parts = owed
            self.publish(self.lake.id, unpacked(parts))
            self.lake.sent(version)

    def _rows(self, look: Look) -> tuple[Rows, int]:
        """Return what a look leads to, and how many exchanges have network time now."""
        found, joined = [], 0
        for rows in self._lots(look, UNMATCHED):
            matched = find(rows, self.edge_names)
            found.append(corrections(matched, -look.version, self.now_ms(), self.window_ns))
        for rows in self._lots(look, EXCHANGE):
            met = exchanges.meet(rows, self.edge_names)
            joined += met.joined.mine.size
            found.append(exchanges.corrections(met, -look.version, self.now_ms(), self.window_ns))
        return added_up(combine(found)), joined

    def _lots(self, look: Look, kind: str) -> Iterator[pa.Table]:
        """Yield open rows of one kind of connections of which anything is new, some connections at a time."""
        touched = self.lake.read(look.new, ["connection"], kind=kind)["connection"].unique()
        for lot in keys_of_both(self.lake.read(look.near, _LIGHT, touched, kind)):
            yield open_rows(self.lake.read(look.near, None, lot, kind), _IDENTITY[kind])
