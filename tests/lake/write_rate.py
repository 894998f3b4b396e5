# SPDX-License-Identifier: Apache-2.0
"""How fast match rows go into a new lake: `python -m tests.lake.write_rate [rows] [partitions] [commits]`.

Prints processor time and elapsed time a row, for whole commits with everything synced. Not a test.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from lake.facts import Facts, PartitionCommit
from schemas.tables import KINDS

_HOUR = 486_000
_CONNECTIONS = 2_000
_TEXTS = {"clock": 3, "edge": 200, "sender_host": 50, "receiver_host": 50}


def match_rows(count: int, seed: int, *, hours: int = 1) -> pa.Table:
    """Return random match rows in the order of time: `_CONNECTIONS` connections, lognormal durations."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, _CONNECTIONS, count)
    begin = rng.integers(0, 300, count) + np.arange(count) * 500
    sent = np.sort(_HOUR * 3600 * 10**9 + rng.integers(0, hours * 3600 * 10**9, count))
    columns = {"begin": begin, "end": begin + 300, "sent_at_ns": sent, "last_piece": rng.random(count) < 0.9}
    for field in KINDS["match"]:
        if field.name in columns:
            continue
        if field.type == pa.string():
            words = _TEXTS.get(field.name, 300)
            columns[field.name] = pa.DictionaryArray.from_arrays(
                pa.array(rng.integers(0, words, _CONNECTIONS)[which], pa.int32()),
                [f"{field.name}-{number}" for number in range(words)],
            )
        elif field.name.endswith("_ns"):
            columns[field.name] = rng.lognormal(11, 1, count).astype(np.int64)
        else:
            columns[field.name] = pa.array(rng.integers(0, 60_000, _CONNECTIONS)[which], field.type)
    return pa.table({**columns, "hour_index": sent // (3600 * 10**9)})


def main(rows: int = 1_800_000, partitions: int = 12, commits: int = 3) -> None:
    """Commit `rows` at once, several times, and print what one row cost each time."""
    tables = [match_rows(rows // partitions, seed) for seed in range(partitions)]
    with tempfile.TemporaryDirectory() as folder:
        facts = Facts.open(folder)
        for number in range(commits):
            parts = [
                PartitionCommit("t", "id", index, number, number + 1, b"", False, {"match": table})  # noqa: FBT003
                for index, table in enumerate(tables)
            ]
            started, used = time.perf_counter(), time.process_time()
            facts.commit(parts)
            spent, used = time.perf_counter() - started, time.process_time() - used
            size = sum(Path(file).stat().st_size for file in facts.files("match", None, None)) / (number + 1)
            print(  # noqa: T201
                f"{rows} rows, each {used / rows * 1e6:.3f} us used, {spent / rows * 1e6:.3f} us elapsed, "
                f"{size / rows:.1f} B"
            )


if __name__ == "__main__":
    pa.set_cpu_count(1)
    main(*map(int, sys.argv[1:]))
