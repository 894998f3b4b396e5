# SPDX-License-Identifier: Apache-2.0
"""What heartbeats tell of an agent's settings and spool."""

import pytest

from agent.about import about, config_id
from agent.settings import AgentSettings
from agent.spool.limits import Figures
from agent.spool.record import Run
from common.config import load
from schemas import control, example
from schemas.control import MAX_LEFT


@pytest.mark.parametrize("same", ["agent.host-name=web-7", "kafka.security.username=web-7"])
def test_who_a_host_is_does_not_change_its_settings_name(same: str) -> None:
    """So hosts with one configuration tell one name."""
    scram = ["kafka.security.mechanism=scram-sha-512", "kafka.security.password-file=/p"]
    plain = load(AgentSettings, overrides=[*scram, "kafka.security.username=a"])
    assert config_id(load(AgentSettings, overrides=[*scram, "kafka.security.username=a", same])) == config_id(
        plain
    )


@pytest.mark.parametrize("other", ["capture.ports=80", "privacy.ip-mode=truncate", "agent.heartbeat=3s"])
def test_every_other_setting_does(other: str) -> None:
    """Wherever it comes from."""
    assert config_id(load(AgentSettings, overrides=[other])) != config_id(AgentSettings())


def test_what_is_told_of_spool_and_earlier_runs_fits_a_heartbeat() -> None:
    """However many runs left something: the record stays readable."""
    left = {(Run("h", "boot", epoch, 3), "quota"): epoch for epoch in range(MAX_LEFT + 50)}
    spool = Figures(bytes=9, limit=10, records=2, oldest_ns=10**18)
    beat = about(AgentSettings()).on(
        example.heartbeat(), backend="raw", spool=spool, now_ns=10**18 + 7, left=left
    )
    found = control.decode(control.encode(beat))
    assert (found.spool_records, found.spool_bytes, found.spool_oldest_ns) == (2, 9, 7)
    assert len(found.left) == MAX_LEFT
    assert all(one.events for one in found.left)
    none = about(AgentSettings()).on(beat, backend="", spool=None, now_ns=0, left={})
    assert (none.spool_records, none.spool_oldest_ns, none.left) == (0, 0, ())
