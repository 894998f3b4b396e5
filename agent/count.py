# SPDX-License-Identifier: Apache-2.0
"""``wirelag-agent count``.

How many times tcp_sendmsg was called, as the kernel program's own counter says.
"""

import threading
from collections.abc import Callable

from agent.kernel.capture import Capture
from agent.service import capture_settings
from agent.settings import CaptureSection


def count(
    section: CaptureSection,
    interval: float,
    times: int | None,
    stop: threading.Event,
    now: Callable[[], float],
) -> None:
    """Print one line an interval until ``stop`` is set or ``times`` lines were printed, and a summary."""
    capture = Capture(capture_settings(section))
    capture.start()
    started, lines, total = now(), 0, 0
    try:
        while not stop.is_set() and (times is None or lines < times):
            stop.wait(interval)
            capture.cycle()
            total, before = capture.counters().sends, total
            lines += 1
            print(f"tcp_sendmsg: {total}   (+{total - before})", flush=True)
    finally:
        total = capture.stop().counters.sends
    seconds = now() - started
    print(f"{total} sends in {seconds:.1f} s, {total / seconds:.0f}/s", flush=True)
