# SPDX-License-Identifier: Apache-2.0
"""Two hosts: virtual machines with kernels and clocks of their own, an agent in each.

Without WIRELAG_TEST_GUESTS nothing here is collected; `make test-kernels` sets it once its kernels are there.
"""

import os
from pathlib import Path

import pytest

from support import two_hosts
from support.deliveries import Deliveries, read
from support.two_hosts import Story

collect_ignore_glob = [] if os.environ.get("WIRELAG_TEST_GUESTS") else ["test_*.py"]
_FIGURES = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for mark in (pytest.mark.kernels, pytest.mark.kernel, pytest.mark.kafka, pytest.mark.slow):
                item.add_marker(mark)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> list[str]:
    """Lines for people, shown at the end."""
    return pytestconfig.stash.setdefault(_FIGURES, [])


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """What the two hosts did, told once."""
    return two_hosts.tell(tmp_path_factory.mktemp("guests"))


@pytest.fixture(scope="session")
def deliveries(story: Story) -> Deliveries:
    """All of them."""
    return read(story)
