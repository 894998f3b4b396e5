# SPDX-License-Identifier: Apache-2.0
"""Names of namespaces and cgroups in the settings become numbers; a name of something else is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.settings import AgentSettings, cgroup_of, namespace_of
from agent.spool.settings import SpoolSection
from common.config import load
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


def spool(text: str) -> SpoolSection:
    """Return the section as `--set` makes it."""
    return load(AgentSettings, overrides=[f"spool.{text}"]).spool


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "file-bytes=200MiB",
            "file-bytes: found 200MiB; allowed is 64KiB to a quarter of max-bytes (128MiB)",
        ),
        ("max-bytes=128MiB", "file-bytes: found 64MiB; allowed is 64KiB to a quarter of max-bytes (32MiB)"),
        ("after=0s", "after: found 0s; allowed is more than 0s"),
        ("path=spool", "path: found 'spool'; allowed is an absolute path, or nothing"),
        ("drain=1kB", "drain: found 1kB; allowed is 64KiB or more"),
        ("max-disk-share=1.5", "spool.max-disk-share: found '1.5'; allowed is a number > 0 <= 1"),
        ("when-full=drop", "spool.when-full: found 'drop'; allowed is one of drop-oldest, drop-newest"),
    ],
)
def test_a_spool_that_could_not_work_is_refused(text: str, said: str) -> None:
    """With what was found and what is allowed."""
    with pytest.raises(ConfigError) as refused:
        spool(text)
    assert said in str(refused.value)


def test_a_spool_without_a_path_is_none() -> None:
    """Its folder is asked for, not the text."""
    assert spool("path=").folder is None
    assert spool("path=/a/b").folder == Path("/a/b")
