# SPDX-License-Identifier: Apache-2.0
"""Memory that is freed is used again without the kernel's help, and lies in huge pages."""

import subprocess
import sys
from pathlib import Path

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


COLUMN = """
import sys
import numpy as np
from common.heap import keep_freed
if sys.argv[1] == "keep":
    for _ in range(2):
        assert keep_freed()
held = [np.ones(100_000, dtype=np.int64) for _ in range(100)]
address = held[-1].ctypes.data
inside = False
for line in open("/proc/self/smaps"):
    name, *rest = line.split()
    if "-" in name and not name.endswith(":"):
        begin, end = (int(bound, 16) for bound in name.split("-"))
        inside = begin <= address < end
    elif inside and name == "VmFlags:":
        print("hg" in rest)
"""


@pytest.mark.parametrize("how", ["keep", "leave"])
def test_columns_lie_where_huge_pages_were_asked_for(how):
    """Of 80 MB in columns of 0.8 MB the last one does: numpy asks for none of less than 4 MiB by itself."""
    run = subprocess.run([sys.executable, "-c", COLUMN, how], capture_output=True, text=True, check=True)
    known = Path("/sys/kernel/mm/transparent_hugepage").exists()
    assert run.stdout == f"{how == 'keep' and known}\n"
