# SPDX-License-Identifier: Apache-2.0
"""What every backend must see on every kernel. `make test-kernels` runs this folder in virtual machines.

Without WIRELAG_TEST_BACKEND nothing here is collected: on this host tests/truth asks more of the one backend
it has. All tests share one capture, since compiling takes most of a minute under emulation.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.kernel.capture import Capture, CaptureSettings
from agent.kernel.settings import Backend
from support.netns import Network, VethPair, hosts_of
from support.trace import Tracer
from support.worker import Worker

BACKEND = os.environ.get("WIRELAG_TEST_BACKEND", "")

collect_ignore_glob = [] if BACKEND else ["test_*.py"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.kernels)
            item.add_marker(pytest.mark.kernel)


_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> list[str]:
    """Lines for people, shown at the end."""
    return pytestconfig.stash.setdefault(_FIGURES, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.write_line(f"{BACKEND}: {line}")


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    with VethPair("k") as network:
        yield network


@pytest.fixture(scope="session")
def capture(network: Network) -> Iterator[Capture]:
    backends: dict[str, Backend] = {name: name for name in ("auto", "raw", "fentry", "kprobe")}
    capture = Capture(
        CaptureSettings(netns=hosts_of(network), ring_pages=256, backend=backends[BACKEND], connections=1024)
    )
    capture.start()
    yield capture
    capture.stop()


@pytest.fixture(scope="session")
def _session_tracer(capture: Capture) -> Tracer:
    return Tracer(capture)


@pytest.fixture
def tracer(_session_tracer: Tracer) -> Iterator[Tracer]:
    """The session's capture; after each test nothing may have been lost and no identity have changed."""
    before = _session_tracer.capture.counters()
    _session_tracer.forget()
    yield _session_tracer
    _session_tracer.forget()
    after = _session_tracer.capture.counters()
    assert after.lost == before.lost
    assert _session_tracer.missing == 0
    assert all(hook.identity_changes == 0 for hook in after.hooks.values())


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """A process for traffic."""
    with Worker() as worker:
        yield worker
