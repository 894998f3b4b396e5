# SPDX-License-Identifier: Apache-2.0
"""Names of kprobes that an agent left are removed once it is gone, and no others."""

import os
import subprocess

import pytest

from agent.kernel import probes


@pytest.fixture
def gone():
    """Number of a process that has ended."""
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


@pytest.fixture
def folder(tmp_path):
    """A tracefs with events of others."""
    (tmp_path / "kprobe_events").write_text("p:kprobes/p_tcp_sendmsg_bcc_1 tcp_sendmsg\n")
    return tmp_path


def _add(folder, *lines):
    with (folder / "kprobe_events").open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def test_only_what_a_dead_agent_left_is_removed(folder, gone):
    _add(
        folder,
        f"r4096:wirelag/kretprobe_tcp_recvmsg_{gone}_7 tcp_recvmsg",
        f"p:wirelag/kprobe_tcp_recvmsg_{os.getppid()}_0 tcp_recvmsg",
    )
    assert probes.remove_stale(folder) == [f"kretprobe_tcp_recvmsg_{gone}_7"]
    last = (folder / "kprobe_events").read_text().splitlines()[-1]
    assert last == f"-:wirelag/kretprobe_tcp_recvmsg_{gone}_7"


def test_nothing_is_removed_where_nothing_is_left(folder):
    before = (folder / "kprobe_events").read_text()
    assert probes.remove_stale(folder) == []
    assert (folder / "kprobe_events").read_text() == before


def test_a_host_without_tracefs_is_told_how_to_mount_it(tmp_path, folder):
    assert "mount -t tracefs" in probes.refused((tmp_path / "nowhere",))
    assert probes.refused((tmp_path / "nowhere", folder)) is None
