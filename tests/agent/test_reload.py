# SPDX-License-Identifier: Apache-2.0
"""SIGHUP to a running agent: a valid file is taken over as far as it can be, an invalid one is not."""

import json
import signal
import subprocess
import sys

import pytest

from demo.broker import SHARDS, InProcessBroker
from support.house import ROOT
from support.netns import VethPair


@pytest.mark.kernel
def test_a_running_agent_reads_its_file_anew(tmp_path):
    broker, file = InProcessBroker(), tmp_path / "agent.toml"
    with VethPair("r") as network:
        text = (
            f"[agent]\nhost-name = 'alpha'\nruntime-dir = '{tmp_path}/run'\n"
            f"[kafka]\nbootstrap-servers = '{broker.address}'\nshards = {SHARDS}\n"
            f"[capture]\nnetns = {[str(host.inode) for host in network.hosts]}\n[service]\n"
        )
        file.write_text(text)
        command = [sys.executable, "-m", "agent", "run", "--config", str(file)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
            try:
                _until(process, "tracing")
                file.write_text(text.replace("alpha", "beta") + "log-level = 'debug'\n")
                process.send_signal(signal.SIGHUP)
                said = _until(process, "settings read anew")
                assert said["applied"] == ["service.log-level"]
                assert said["need_a_restart"] == ["agent.host-name"]
                file.write_text(text + "log-level = 'loud'\n")
                process.send_signal(signal.SIGHUP)
                said = _until(process, "settings are not valid, the old ones stay")
                assert f"{file}: service.log-level: found 'loud'" in said["error"]
                process.send_signal(signal.SIGTERM)
                _until(process, "stopped")
                assert process.wait(20) == 0
            finally:
                process.kill()


def _until(process, event: str) -> dict[str, object]:
    for line in process.stderr:
        if line.startswith("{") and (said := json.loads(line))["event"] == event:
            return said
    raise AssertionError(f"the agent ended before it said {event!r}")
