# SPDX-License-Identifier: Apache-2.0
"""Prints docs/faults.md from the outcomes that `make faults` gathered, and last the goal as JSON on stderr.

python -m deploy.faults_page OUTCOMES.jsonl >docs/faults.md
"""

import json
import sys
from pathlib import Path
from typing import Any

HEAD = """# What faults do to the events

Written by `make faults`, which breaks each of these for real (Apache's Kafka, full disks, killed processes)
and counts. Every event that was produced is stored or counted as lost, by stage and reason, and none is
stored twice. *Produced* counts events in the kernel, or those the test put into batches itself; *stored* is
counted in the lake unless the row names another place; *duplicates* came again and were dropped; *recovery*
is from the end of the fault to the first event through after it, on two busy cores.

| fault | times | produced | stored | lost, by reason | duplicates dropped | recovery, s |
| --- | ---: | ---: | ---: | --- | ---: | ---: |
"""


def main() -> None:
    """Print the page."""
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    outcomes: list[dict[str, Any]] = [json.loads(line) for line in lines]
    print(HEAD + "\n".join(_row(one) for one in outcomes))
    good = sum(one["events"] == one["stored"] + sum(one["lost"].values()) for one in outcomes)
    ratio = good / len(outcomes) if outcomes else 0.0
    goal = "faults: produced = stored + counted losses"
    print(json.dumps({"goal": goal, "ratio": ratio, "target": 1.0, "met": ratio == 1.0}), file=sys.stderr)


def _row(one: dict[str, Any]) -> str:
    lost = ", ".join(f"{reason} {count:,}" for reason, count in sorted(one["lost"].items())) or "none"
    stored = f"{one['stored']:,}" + ("" if one["where"] == "lake" else f" ({one['where']})")
    seconds = one["recovery_seconds"]
    recovery = "" if seconds is None else f"{seconds:.1f}"
    cells = (
        one["fault"],
        one["times"],
        f"{one['events']:,}",
        stored,
        lost,
        f"{one['duplicates']:,}",
        recovery,
    )
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
