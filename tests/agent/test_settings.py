# SPDX-License-Identifier: Apache-2.0
"""Names of namespaces and cgroups in the settings become numbers; a name of something else is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.settings import cgroup_of, namespace_of
from common.errors import ConfigError

OWN = "/proc/self/ns/net"


def test_a_namespace_is_named_by_number_or_path() -> None:
    """Both say the same."""
    inode = Path(OWN).stat().st_ino
    assert namespace_of(OWN) == namespace_of(str(inode)) == inode


def test_a_cgroup_is_named_by_number() -> None:
    """As the kernel numbers it."""
    assert cgroup_of("4242") == 4242


@pytest.mark.parametrize("path", ["/proc/self/ns/mnt", "/proc/self/comm", "/"])
def test_what_is_no_network_namespace_is_refused(path: str) -> None:
    """Its inode number would be that of no namespace, and nothing would be traced, silently."""
    with pytest.raises(ConfigError, match=f"capture.netns: found '{path}', which is not a network namespace"):
        namespace_of(path)


@pytest.mark.parametrize("path", ["/proc", "/proc/self/comm"])
def test_what_is_no_cgroup_is_refused(path: str) -> None:
    """Nor a folder of cgroups of version 1."""
    with pytest.raises(ConfigError, match=f"capture.cgroups: found '{path}', which is not the folder"):
        cgroup_of(path)


@pytest.mark.parametrize("named", [namespace_of, cgroup_of])
def test_what_is_not_there_is_refused(named: Callable[[str], int]) -> None:
    """With the reason."""
    with pytest.raises(ConfigError, match=r"found '/not/there' \(No such file or directory\)"):
        named("/not/there")
