# SPDX-License-Identifier: Apache-2.0
"""One capture for the programs of this folder: it sees two namespaces of this session, nothing else.

Each test asks a program what it sent and read by its own count, and the capture what it saw of that program.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.kernel.capture import Capture, CaptureSettings
from support.netns import Network, VethPair, hosts_of
from support.trace import Tracer


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.kernel)


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    with VethPair("p") as network:
        yield network


@pytest.fixture(scope="session")
def _session_tracer(network: Network) -> Iterator[Tracer]:
    capture = Capture(CaptureSettings(netns=hosts_of(network), ring_pages=1024, lives=True))
    capture.start()
    try:
        yield Tracer(capture)
    finally:
        capture.stop()


@pytest.fixture
def tracer(_session_tracer: Tracer) -> Iterator[Tracer]:
    """The session's capture, which tells everything anew; no send or read may have been lost."""
    tracer = _session_tracer
    before = tracer.capture.counters()
    tracer.forget()
    yield tracer
    tracer.forget()
    after = tracer.capture.counters()
    assert (after.lost, after.nested, tracer.missing) == (before.lost, before.nested, 0)
    for name in ("send", "receive"):
        assert after.hooks[name].misses == before.hooks[name].misses, (name, after.hooks[name])
        assert after.hooks[name].orphans == before.hooks[name].orphans, (name, after.hooks[name])
    assert all(hook.identity_changes == 0 for hook in after.hooks.values())


@pytest.fixture
def log(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that names a file for a program's output."""
    return lambda name: tmp_path / f"{name}.log"
