# SPDX-License-Identifier: Apache-2.0
"""What can be asked for by ``--kind``, and what each of it rests on: which host, which clock, which rows.

The edge of a turn and of network time is that of the request: client first. So a server turn is told by the
receiving host of its edge, a client turn by the sending one; rtt is told by the sending host of its edge.
"""

from schemas.turns import MEASURES as TURNS

__all__ = ["COLUMN", "DEFAULT", "EITHER", "HOST", "KINDS", "MESSAGES", "ONE_WAY", "OTHER", "TELLER", "TURNS"]
ONE_WAY = ("delivery", "wire")
"""Differences of two hosts' clocks."""
MESSAGES = ("delivery", "wire", "receive-wait", "send-block")
"""Those that single messages have."""
KINDS = (*MESSAGES, *TURNS, "rtt")
DEFAULT = ("delivery", "wire", "receive-wait", "server-turn")
COLUMN = {kind: f"{kind.replace('-', '_')}_ns" for kind in MESSAGES}
"""Of kind ``match``."""

HOST = """CASE WHEN measure IN ('send-block', 'client-turn', 'rtt') THEN sender_host
        WHEN measure IN ('receive-wait', 'server-turn') THEN receiver_host
        ELSE concat_ws(' > ', sender_host, receiver_host) END"""
"""Where a value was measured, as SQL."""
TELLER = "CASE measure WHEN 'server-turn' THEN receiver_host ELSE sender_host END"
"""The host whose lost events leave no trace in ``n`` and ``seen``, as SQL."""
OTHER = """CASE WHEN measure IN ('delivery', 'wire', 'receive-wait', 'network') THEN receiver_host END"""
"""The other host that a value rests on, as SQL: what it lost is in ``seen``, unless it samples."""
EITHER = "measure = 'network'"
"""Both hosts may lose without a trace, as SQL: an exchange of which neither end told is in no count."""
