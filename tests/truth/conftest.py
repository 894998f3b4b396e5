# SPDX-License-Identifier: Apache-2.0
"""One capture for all truth tests: it sees two namespaces of this session, nothing else of the machine.

WIRELAG_TEST_BACKEND says by which backend. `make test-kernels` runs these tests in virtual machines of other
kernels by each of them, and with them those of the folder kernels/, which are of no use on every kernel.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.kernel.capture import Capture, CaptureSettings
from agent.kernel.settings import Backend
from support.netns import Network, VethPair, hosts_of
from support.trace import Tracer
from support.worker import Worker

BACKEND = os.environ.get("WIRELAG_TEST_BACKEND")
_BACKENDS: dict[str, Backend] = {name: name for name in ("auto", "raw", "fentry", "kprobe")}
RING_PAGES = 256
_FIGURES = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.kernel)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_FIGURES, []) if BACKEND else []:
        terminalreporter.write_line(f"{BACKEND}: {line}")


@pytest.fixture(scope="session")
def backend() -> Backend:
    """The backend under test."""
    return _BACKENDS[BACKEND or "auto"]


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> list[str]:
    """Lines for people, shown at the end by `make test-kernels`."""
    return pytestconfig.stash.setdefault(_FIGURES, [])


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    with VethPair() as network:
        yield network


@pytest.fixture
def steered(network: Network) -> Iterator[Network]:
    """Packets are handed to all CPUs in turn (RPS), so softirqs meet hooks everywhere."""
    _steer(network, f"{(1 << (os.cpu_count() or 1)) - 1:x}")
    yield network
    _steer(network, "0")


def _steer(network: Network, mask: str) -> None:
    for host in network.hosts:
        queue = f"/sys/class/net/{host.interface}/queues/rx-0/rps_cpus"
        host.run("sh", "-c", f"echo {mask} > {queue}")


@pytest.fixture(scope="session")
def capture(network: Network, backend: Backend) -> Iterator[Capture]:
    """The session's capture; started for those who need it."""
    capture = Capture(CaptureSettings(netns=hosts_of(network), ring_pages=RING_PAGES, backend=backend))
    capture.start()
    try:
        yield capture
    finally:
        capture.stop()


@pytest.fixture(scope="session")
def _session_tracer(capture: Capture) -> Tracer:
    return Tracer(capture)


@pytest.fixture
def tracer(_session_tracer: Tracer) -> Iterator[Tracer]:
    """The session's capture; after each test nothing may have been lost and no identity have changed."""
    _session_tracer.forget()
    before = _session_tracer.capture.counters()
    yield _session_tracer
    _session_tracer.forget()
    after = _session_tracer.capture.counters()
    assert after.lost == before.lost
    assert after.nested == before.nested
    assert _session_tracer.missing <= after.lost + after.facts.lost, "holes are of what other tests lost"
    assert after.facts.lost == before.facts.lost
    assert all(hook.identity_changes == 0 for hook in after.hooks.values())


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """A process for traffic."""
    with Worker() as worker:
        yield worker


@pytest.fixture(scope="session")
def crew() -> Iterator[list[Worker]]:
    """As many processes as keep all CPUs busy."""
    with ExitStack() as stack:
        yield [stack.enter_context(Worker()) for _ in range(3)]


@pytest.fixture
def small(_session_tracer: Tracer) -> Iterator[Tracer]:
    """The session's capture with rings of 8 pages, so that it can be made to lose."""
    _session_tracer.forget()
    _open_rings(_session_tracer.capture, 8)
    yield _session_tracer
    _session_tracer.forget()
    _open_rings(_session_tracer.capture, RING_PAGES)


def _open_rings(capture: Capture, pages: int) -> None:
    program = capture._running()
    for cpu in sorted(program._rings):
        program._close_ring(cpu)
    program._rings.clear()
    program.open_rings("records", pages, capture._records_append)
