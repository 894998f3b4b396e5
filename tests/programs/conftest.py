# SPDX-License-Identifier: Apache-2.0
"""One capture for most tests of this folder: it sees network namespaces of this session, nothing else.

Each test asks a program what it sent and read by its own count, and the capture what it saw of that program.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.kernel.capture import Capture, CaptureSettings
from support.nat import Routed, Router
from support.netns import Network, VethPair, hosts_of
from support.trace import Tracer

TWINS = 4


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
def twins() -> Iterator[list[Network]]:
    """Networks that have no way to each other, of the same addresses, which are those of ``network`` too."""
    with ExitStack() as stack:
        yield [stack.enter_context(VethPair()) for _ in range(TWINS)]


@pytest.fixture(scope="session")
def routed() -> Iterator[Routed]:
    """Two hosts with a router between them, whose own namespace is not traced."""
    with Router() as hosts:
        yield hosts


@pytest.fixture(scope="session")
def _session_tracer(network: Network, twins: list[Network], routed: Routed) -> Iterator[Tracer]:
    pairs = [hosts_of(network), *map(hosts_of, twins), routed.namespaces]
    inodes = tuple(inode for pair in pairs for inode in pair)
    capture = Capture(CaptureSettings(netns=inodes, ring_pages=1024, lives=True))
    capture.start()
    try:
        yield Tracer(capture)
    finally:
        capture.stop()


@pytest.fixture
def tracer(_session_tracer: Tracer) -> Iterator[Tracer]:
    """The session's capture, which tells everything anew; no send or read may have been lost."""
    tracer = _session_tracer
    tracer.forget()
    before, missing = tracer.capture.counters(), tracer.missing
    yield tracer
    tracer.forget()
    after = tracer.capture.counters()
    assert (after.lost, tracer.missing) == (before.lost, missing), f"before {before}, after {after}"
    for name in ("send", "receive"):  # the other hooks may be met by an interrupt, and count that
        old, new = before.hooks[name], after.hooks[name]
        assert (new.nested, new.misses, new.orphans) == (old.nested, old.misses, old.orphans), name
    assert all(hook.identity_changes == 0 for hook in after.hooks.values())


@pytest.fixture
def log(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that names a file for a program's output."""
    return lambda name: tmp_path / f"{name}.log"
