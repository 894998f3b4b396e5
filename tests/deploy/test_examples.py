# SPDX-License-Identifier: Apache-2.0
"""The files in deploy/ say what the services understand."""

import re
import shutil
import subprocess

import msgspec
import pytest

from agent.settings import AgentSettings
from common.config import load, render
from common.units import Duration
from consumer.settings import ConsumerSettings, LakeSettings
from support.house import ROOT, files

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def test_example_of_the_agent_is_its_defaults():
    settings = load(AgentSettings, DEPLOY / "agent.toml")
    assert render(settings) == render(AgentSettings())  # as text, so that a difference is shown by its key


def test_example_of_the_consumer_is_its_defaults_at_a_place_of_its_own():
    settings = load(ConsumerSettings, DEPLOY / "consumer.toml")
    assert settings.service.metrics_listen == "127.0.0.1:9465"
    service = msgspec.structs.replace(settings.service, metrics_listen="")
    assert settings.lake == LakeSettings(uri="/var/lib/wirelag/lake")
    settings = msgspec.structs.replace(settings, service=service, lake=LakeSettings())
    assert render(settings) == render(ConsumerSettings())


def uncommented(text: str) -> str:
    return re.sub(r"^# (?=[\"\w.-]+ = )", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize(("name", "cls"), [("agent", AgentSettings), ("consumer", ConsumerSettings)])
def test_what_the_examples_leave_out_would_be_understood(tmp_path, name, cls):
    text = (DEPLOY / f"{name}.toml").read_text()
    path = tmp_path / "all.toml"
    path.write_text(uncommented(text))
    settings = load(cls, path)
    assert path.read_text() != text
    assert settings.kafka.security.mechanism == "scram-sha-512"


def test_config_map_of_the_daemon_set_is_understood(tmp_path):
    manifest = (DEPLOY / "kubernetes" / "agent-daemonset.yaml").read_text()
    found = re.search(r"^  agent\.toml: \|\n((?:    .*\n|\n)+)", manifest, re.MULTILINE)
    assert found
    path = tmp_path / "agent.toml"
    path.write_text(re.sub(r"^    ", "", found[1], flags=re.MULTILINE))
    settings = load(AgentSettings, path, env_prefix="W", environ={"W__AGENT__HOST_NAME": "node-1"})
    assert settings.service.log_format == "json"
    assert settings.agent.host_name == "node-1"


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_outlives_a_heartbeat_and_does_not_retry_wrong_settings(unit):
    text = unit.read_text()
    watchdog = re.search(r"^WatchdogSec=(\w+)$", text, re.MULTILINE)
    assert watchdog
    assert Duration.parse(watchdog[1]) >= 10 * AgentSettings().agent.heartbeat
    assert "RestartPreventExitStatus=2\n" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_is_understood_by_systemd(unit, tmp_path):
    here = tmp_path / unit.name  # commands that exist, since `verify` looks for them
    here.write_text(re.sub(r"/opt/wirelag/bin/[\w-]+", "/bin/true", unit.read_text()))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(here)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_readme_speaks_of_every_file():
    text = (DEPLOY / "README.md").read_text()
    names = [path.relative_to("deploy") for path in files("deploy") if path.name != "README.md"]
    shown = {"systemd": "systemd/*.service", "kafka": "kafka/"}
    assert [str(name) for name in names if shown.get(name.parts[0], str(name)) not in text] == []
