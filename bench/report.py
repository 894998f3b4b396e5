# SPDX-License-Identifier: Apache-2.0
"""How every benchmark ends: one JSON object per goal, the last lines of its output."""

import json


def report(goal: str, ratio: float, target: float, *, at_least: bool = False) -> None:
    """Print one goal. Met is a ratio of ``target`` at most, or at least where ``at_least``."""
    met = ratio >= target if at_least else ratio <= target
    print(
        json.dumps({"goal": goal, "ratio": round(ratio, 4), "target": round(target, 4), "met": met}),
        flush=True,
    )
