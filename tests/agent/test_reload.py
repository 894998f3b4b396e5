# SPDX-License-Identifier: Apache-2.0
"""SIGHUP to a running agent: a valid file is taken over as far as it can be, an invalid one is not."""

import json
import signal
import subprocess
import sys

import pytest

from agent.status import read_all
from demo.broker import SHARDS, InProcessBroker
from support.house import ROOT
from support.netns import VethPair
from support.traffic import echo


@pytest.mark.kernel
def test_a_running_agent_reads_its_file_anew(tmp_path):
    broker, file = InProcessBroker(), tmp_path / "agent.toml"
    with VethPair() as network:
        text = (
            f"[agent]\nhost-name = 'alpha'\nruntime-dir = '{tmp_path}/run'\n"
            f"[kafka]\nbootstrap-servers = '{broker.address}'\nshards = {SHARDS}\n"
            f"[capture]\nnetns = {[str(host.inode) for host in network.hosts]}\n"
            f"[spool]\npath = '{tmp_path}/spool'\nmax-disk-share = 1.0\n[service]\n"
        )
        file.write_text(text)
        command = [sys.executable, "-m", "agent", "run", "--config", str(file)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
            try:
                _until(process, "tracing")
                changed = text.replace("alpha", "beta").replace("[spool]", "[spool]\nmax-bytes = '300MiB'")
                brakes = "log-level = 'debug'\n[brakes]\nmax-events-per-second = 5\n"
                file.write_text(changed + brakes)
                process.send_signal(signal.SIGHUP)
                said = _until(process, "settings read anew")
                assert said["applied"] == [
                    "brakes.max-events-per-second",
                    "spool.max-bytes",
                    "service.log-level",
                ]
                assert said["need_a_restart"] == ["agent.host-name"]
                while [one.spool_limit_bytes for one in read_all(tmp_path / "run")] != [300 * 2**20]:
                    assert process.poll() is None
                    echo(network, 5, 100)
                file.write_text(text + "log-level = 'loud'\n")
                process.send_signal(signal.SIGHUP)
                said = _until(process, "settings are not valid, the old ones stay")
                assert f"{file}: service.log-level: found 'loud'" in said["error"]
                process.send_signal(signal.SIGTERM)
                _until(process, "stopped")
                assert process.wait(60) == 0
            finally:
                process.kill()


def _until(process, event: str) -> dict[str, object]:
    for line in process.stderr:
        if line.startswith("{") and (said := json.loads(line))["event"] == event:
            return said
    raise AssertionError(f"the agent ended before it said {event!r}")
