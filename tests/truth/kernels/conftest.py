# SPDX-License-Identifier: Apache-2.0
"""What needs a kernel of its own: one whose parts this host's may lack, and that may be disturbed.

Without WIRELAG_TEST_BACKEND nothing here is collected; `make test-kernels` sets it in its virtual machines.
"""

import os
from pathlib import Path

import pytest

_BACKEND = os.environ.get("WIRELAG_TEST_BACKEND")
collect_ignore_glob = [] if _BACKEND else ["test_*.py"]
collect_ignore = [] if _BACKEND == "kprobe" else ["test_return_probes.py"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.kernels)
