# SPDX-License-Identifier: Apache-2.0
"""Several processes that open the same lakes at once, as near to the same moment as lines on pipes are.

As a program it opens the lake in each folder that standard input names, and commits one offset of the
partition given.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lake.facts import Facts
from tests.lake.synthetic import part


def open_at_once(folders: Sequence[str], processes: int) -> None:
    """Have processes open one folder after the other, all at once, and commit offset 0 of their partition."""
    openers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.lake.opener", str(number)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for folder in folders:
        for opener in openers:
            assert opener.stdin is not None
            opener.stdin.write(f"{folder}\n")
            opener.stdin.flush()
        assert [opener.stdout.readline() for opener in openers if opener.stdout] == ["done\n"] * processes
    for opener in openers:
        opener.communicate()
        assert opener.returncode == 0


def main(partition: int) -> None:
    """Serve until standard input ends."""
    for line in sys.stdin:
        facts = Facts.open(line.strip())
        facts.commit([part(partition, 0, 1)])
        sys.stdout.write("done\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
