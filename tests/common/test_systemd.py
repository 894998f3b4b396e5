# SPDX-License-Identifier: Apache-2.0
import os
import socket

import pytest

from common.systemd import Watchdog, notify, watchdog_interval


@pytest.mark.parametrize("abstract", [False, True])
def test_message_reaches_systemd(tmp_path, abstract):
    name = f"wirelag-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name if abstract else name)
        systemd.settimeout(60)
        assert notify("READY=1", {"NOTIFY_SOCKET": "@" + name if abstract else name})
        assert systemd.recv(64) == b"READY=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}])
def test_without_systemd_nothing_happens(environ):
    assert notify("READY=1", environ) is False


def test_systemd_that_is_gone_is_no_failure(tmp_path):
    assert notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")}) is False


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({}, None),
    ],
)
def test_watchdog_is_fed_twice_as_often_as_it_looks(environ, seconds):
    assert watchdog_interval(environ) == seconds


def test_the_watchdog_hears_of_turns_as_often_as_it_asked(tmp_path):
    """Not more often, and not at all where it did not ask."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(0)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
        watchdog = Watchdog(environ)
        for tenth in range(100, 131):
            watchdog.turned(tenth / 10)
        heard = [listener.recv(100) for _ in range(4)]
        assert heard == [b"WATCHDOG=1"] * 4
        del environ["WATCHDOG_USEC"]
        Watchdog(environ).turned(1000.0)
        with pytest.raises(BlockingIOError):
            listener.recv(100)
