# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the agent's tests."""

import socket
from collections.abc import Iterator

import pytest


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port of 127.0.0.1 on which nothing listens, and nothing will while the test runs."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
