# SPDX-License-Identifier: Apache-2.0
"""One capture for all truth tests: it sees two namespaces of this session, nothing else of the machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.kernel.capture import Capture, CaptureSettings
from support.netns import Network, VethPair, hosts_of
from support.trace import Tracer
from support.worker import Worker


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.kernel)


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    with VethPair() as network:
        yield network


@pytest.fixture(scope="session")
def _session_tracer(network: Network) -> Iterator[Tracer]:
    capture = Capture(CaptureSettings(netns=hosts_of(network), ring_pages=256))
    capture.start()
    tracer = Tracer(capture)
    try:
        yield tracer
    finally:
        capture.stop()


@pytest.fixture
def tracer(_session_tracer: Tracer) -> Iterator[Tracer]:
    """The session's capture; after each test nothing may have been lost and no identity have changed."""
    before = _session_tracer.capture.counters()
    _session_tracer.forget()
    yield _session_tracer
    _session_tracer.forget()
    after = _session_tracer.capture.counters()
    assert after.lost == before.lost
    assert after.nested == before.nested
    assert _session_tracer.missing == 0
    assert all(hook.identity_changes == 0 for hook in after.hooks.values())


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """A process for traffic."""
    with Worker() as worker:
        yield worker
