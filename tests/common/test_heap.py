# SPDX-License-Identifier: Apache-2.0
"""Memory that is freed is used again without the kernel's help."""

import subprocess
import sys

import pytest

ROUNDS = """
import resource, sys
import numpy as np
from common.heap import keep_freed
if sys.argv[1] == "keep":
    assert keep_freed()
def work():
    return sum(int(np.ones(400_000, dtype=np.int64)[0]) for _ in range(3))
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
before = faults()
for _ in range(20):
    columns = [np.ones(400_000, dtype=np.int64) for _ in range(3)]
    del columns
print(faults() - before)
"""


@pytest.mark.parametrize(("how", "kept"), [("keep", True), ("leave", False)])
def test_rounds_fetch_no_pages_anew(how, kept):
    """Three columns of 3.2 MB have 2,344 pages: one round may need them, twenty would fetch 46,875."""
    run = subprocess.run([sys.executable, "-c", ROUNDS, how], capture_output=True, text=True, check=True)
    assert (int(run.stdout) < 5_000) == kept
