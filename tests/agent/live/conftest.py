# SPDX-License-Identifier: Apache-2.0
"""Two hosts and a process for traffic, for the live programs."""

from collections.abc import Iterator

import pytest

from support.netns import Network, VethPair
from support.worker import Worker


@pytest.fixture(scope="package")
def network() -> Iterator[Network]:
    with VethPair() as network:
        yield network


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker
