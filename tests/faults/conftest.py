# SPDX-License-Identifier: Apache-2.0
"""The fault matrix: each test breaks one thing for real and ends with `faults.tell(...)`, one figure each."""

from pathlib import Path

import pytest

from support.faults import Faults


@pytest.fixture
def faults(pytestconfig: pytest.Config) -> Faults:
    """Tells what a fault did to the events; see support/faults.py."""
    path = pytestconfig.getoption("faults_to")
    return Faults(Path(path) if path else None, full=bool(path))
