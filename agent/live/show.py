# SPDX-License-Identifier: Apache-2.0
"""How live programs print: short figures, addresses as one writes them, names that obey no terminal."""

import ipaddress
from datetime import UTC, datetime

from agent.directory import MAPPED_PREFIX
from common import shown
from schemas.batch import Flow, Process

_THOUSAND, _TEN = 1000, 10
_SIZES = ((1, "B"), (10**3, "kB"), (10**6, "MB"), (10**9, "GB"), (10**12, "TB"))
UNKNOWN = "-"
MORE_PAGES = 2048


def duration(nanoseconds: int | None) -> str:
    """Return 850ns, 38us, 1.9ms, 3.4s; ``-`` for what is not known."""
    return UNKNOWN if nanoseconds is None else shown.duration(nanoseconds)


def size(count: float) -> str:
    """Return 999B, 1.2kB, 64MB (powers of 1000)."""
    by, name = next((by, name) for by, name in _SIZES if round(count / by) < _THOUSAND or name == "TB")
    digits = 1 if by > 1 and round(count / by, 1) < _TEN else 0
    return f"{count / by:.{digits}f}{name}"


def clean(text: str) -> str:
    """Return text without control characters: a process may call itself what a terminal would obey."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def process(one: Process | None) -> str:
    """Return ``name[pid]``."""
    return f"{clean(one.name) or '?'}[{one.pid}]" if one is not None and one.pid else UNKNOWN


def address(raw: bytes) -> str:
    """Return 16 bytes as 10.0.0.1 or fd00::1."""
    mapped = raw.startswith(MAPPED_PREFIX)
    return str(ipaddress.ip_address(raw[len(MAPPED_PREFIX) :] if mapped else raw))


def endpoint(raw: bytes, port: int) -> str:
    """Return 10.0.0.1:80 or [fd00::1]:80."""
    text = address(raw)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def local(flow: Flow) -> str:
    """Return this end of a connection."""
    return endpoint(flow.local_address, flow.local_port)


def remote(flow: Flow) -> str:
    """Return the other end, as this one sees it."""
    return endpoint(flow.remote_address, flow.remote_port)


def clock(unix_ns: int) -> str:
    """Return the time of day, UTC, to the microsecond."""
    moment = datetime.fromtimestamp(unix_ns // 10**9, UTC)
    return f"{moment:%H:%M:%S}.{unix_ns % 10**9 // 1000:06}"


def losses(events: int) -> str:
    """Return how many events were lost, and what helps."""
    more = f" (a larger ring helps: --set capture.ring-pages={MORE_PAGES})" if events else ""
    return f"{events} events lost{more}"


def known(value: int) -> int | None:
    """Return a figure, None where it is -1: not known."""
    return None if value < 0 else int(value)
