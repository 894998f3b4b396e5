# SPDX-License-Identifier: Apache-2.0
"""Settings read anew at SIGHUP: what is applied, what waits for a restart, what is refused."""

import os
import signal
import threading

import pytest
import structlog
from structlog.testing import capture_logs

from common.config import Settings, load
from common.log import setup_logging
from common.reload import Reloader, logging_of
from common.service import ServiceSettings, stop_on_signals


class Kafka(Settings, frozen=True):
    shards: int = 12


class Whole(Settings, frozen=True):
    kafka: Kafka = Kafka()
    service: ServiceSettings = ServiceSettings()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "w.toml"
    path.write_text("[kafka]\nshards = 1\n")
    return path


@pytest.fixture
def reload(file):
    def read():
        return load(Whole, file)

    setup_logging("json", "info")
    yield Reloader(read(), read, logging_of("w", lambda new: new.service))
    structlog.reset_defaults()


def test_what_cannot_be_applied_is_named_until_it_is_as_it_was(file, reload):
    file.write_text("[kafka]\nshards = 2\n")
    with capture_logs() as said:
        reload()
        reload()
        file.write_text("[kafka]\nshards = 1\n")
        reload()
    assert [one["need_a_restart"] for one in said] == [["kafka.shards"], ["kafka.shards"], []]
    assert [one["log_level"] for one in said] == ["warning", "warning", "info"]


def test_the_level_of_the_log_is_applied(file, reload, capsys):
    log = structlog.get_logger()
    log.debug("before")
    file.write_text("[kafka]\nshards = 1\n[service]\nlog-level = 'debug'\nlog-format = 'json'\n")
    reload()
    log.debug("after")
    said = capsys.readouterr().err
    assert "before" not in said
    assert '"after"' in said
    assert '"applied": ["service.log-format", "service.log-level"]' in said
    reload()
    assert '"applied": []' in capsys.readouterr().err


def test_settings_that_are_refused_change_nothing_and_are_named(file, reload):
    file.write_text("[service]\nlog-level = 'debug'\n[kafka]\nshards = 'x'\n")
    with capture_logs() as said:
        reload()
        file.write_text("[kafka]\nshards = 1\n")
        reload()
    assert said[0]["log_level"] == "error"
    assert f"{file}: kafka.shards: found 'x'" in said[0]["error"]
    assert (said[1]["applied"], said[1]["need_a_restart"]) == ([], [])


def test_sighup_calls_and_sigterm_is_still_heard_after_a_call_that_failed():
    called = threading.Semaphore(0)

    def fail():
        called.release()
        raise RuntimeError("x")

    before = signal.getsignal(signal.SIGHUP)
    with stop_on_signals(fail) as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
            assert called.acquire(timeout=60)
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(60)
    assert signal.getsignal(signal.SIGHUP) is before
