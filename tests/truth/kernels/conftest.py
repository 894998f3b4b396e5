# SPDX-License-Identifier: Apache-2.0
"""What needs a kernel of its own: one whose parts this host's may lack, and that may be disturbed.

Without WIRELAG_TEST_BACKEND nothing here is collected; `make test-kernels` sets it in its virtual machines.
"""

import os
from pathlib import Path

import pytest

collect_ignore_glob = [] if os.environ.get("WIRELAG_TEST_BACKEND") else ["test_*.py"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.kernels)
