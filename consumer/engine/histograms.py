# SPDX-License-Identifier: Apache-2.0
"""The histogram rows of a tick: one additive part for each (window, edge, hosts, measure, clock, keep).

Messages are sends with Flag.LAST_PIECE that closed: matched or expired. ``seen`` counts all that a measure
could have a value for, ``n`` those that have one. Delivery and wire are kept only where both ends share one
clock; receive wait and send block need one host. A match with Flag.NO_ROLE is seen and has no delivery, wire
or receive wait: its positions may be one off, so its partner may be the neighbour. A message that expired
where events were sampled out has a send block and is not seen by the other measures.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from consumer.engine.arrow import Place
from consumer.engine.facts import Link
from consumer.engine.parts import Edges, Measure, part_rows
from consumer.latency.intervals import I64, Bools
from consumer.latency.match import Closed
from consumer.latency.measure import Measured
from schemas.clock import ONE_HOST, SAME_HOST
from schemas.event import Flag


class Messages(NamedTuple):
    """(n,) closed messages: first those matched, then those expired."""

    link: I64
    sent_at: I64
    received_at: I64
    """Equal to ``sent_at`` where nothing was received."""
    delivery: I64
    wire: I64
    wait: I64
    block: I64
    delivered: Bools
    """``delivery`` has a value."""
    arrived: Bools
    """``wire`` and ``wait`` have a value."""
    matched: Bools


def messages(closed: Closed, measured: Measured, link: I64) -> Messages:
    """Return the messages among matches and expired sends; ``link`` names those of both, in this order."""
    doubts = closed.sends.flags | closed.receives.flags | closed.arrival_flags
    trusted = (doubts & Flag.NO_ROLE) == 0
    expired_at = closed.expired.time + closed.expired.offset
    found = Messages(
        link=link,
        sent_at=np.concatenate((measured.sent_at, expired_at)),
        received_at=np.concatenate((measured.received_at, expired_at)),
        delivery=_longer(measured.delivery, link.size),
        wire=_longer(measured.wire, link.size),
        wait=_longer(measured.wait, link.size),
        block=np.concatenate((closed.sends.duration, closed.expired.duration)),
        delivered=_longer(trusted, link.size),
        arrived=_longer(trusted & (closed.arrived >= 0), link.size),
        matched=_longer(np.ones(trusted.size, dtype=bool), link.size),
    )
    # Of the sends alone: a receive has pieces of its own.
    last = (np.concatenate((closed.sends.flags, closed.expired.flags)) & Flag.LAST_PIECE) != 0
    return found if last.all() else _pick(found, last)


def _longer(values: Any, size: int) -> Any:  # noqa: ANN401 - any dtype
    return (
        values
        if values.size == size
        else np.concatenate((values, np.zeros(size - values.size, values.dtype)))
    )


def _pick(found: Messages, mask: Bools) -> Messages:
    columns: list[Any] = [column[mask] for column in found] if not mask.all() else list(found)
    return Messages(*columns)


def histograms(place: Place, found: Messages, links: list[Link], window_ns: int) -> pa.Table | None:
    """Return the parts of one tick, None where nothing closed."""
    asked = found
    if any(link.thinned for link in links):
        thinned = np.array([link.thinned for link in links], dtype=bool)
        asked = _pick(found, found.matched | ~thinned[found.link])
    one_clock = _pick(asked, np.array([link.same_clock for link in links], dtype=bool)[asked.link])
    heard = _pick(asked, np.array([link.heard for link in links], dtype=bool)[asked.link])
    edges = Edges(links, [link.keep for link in links])
    parts = []
    if one_clock.link.size:
        group = edges.group(one_clock.link, one_clock.sent_at // window_ns)
        delivery = Measure("delivery", SAME_HOST, one_clock.delivery, one_clock.delivered)
        wire = Measure("wire", SAME_HOST, one_clock.wire, one_clock.arrived)
        parts += [part_rows(place, edges, group, one, window_ns) for one in (delivery, wire)]
    if heard.link.size:
        group = edges.group(heard.link, heard.received_at // window_ns)
        wait = Measure("receive-wait", ONE_HOST, heard.wait, heard.arrived)
        parts.append(part_rows(place, edges, group, wait, window_ns))
    if found.link.size:
        if any(link.keep != link.keep_sent for link in links):
            edges = Edges(links, [link.keep_sent for link in links])
        group = edges.group(found.link, found.sent_at // window_ns)
        block = Measure("send-block", ONE_HOST, found.block, np.ones(found.link.size, dtype=bool))
        parts.append(part_rows(place, edges, group, block, window_ns))
    return pa.concat_tables(parts) if parts else None
