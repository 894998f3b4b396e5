# SPDX-License-Identifier: Apache-2.0
"""`wirelag-agent config`: what is in force and why, all there is, and its schema."""

import json
import re

from agent.cli import main
from agent.settings import AgentSettings
from common.config import load
from common.config.settings import fields_of


def test_show_says_what_is_in_force_and_where_it_comes_from(tmp_path, capsys, monkeypatch):
    file = tmp_path / "agent.toml"
    file.write_text('[kafka]\nshards = 3\n[kafka.options]\n"socket.timeout.ms" = 30000\n')
    monkeypatch.setenv("WIRELAG_AGENT__BATCH__MAX_AGE", "2s")
    assert main(["config", "show", "-c", str(file), "--set", "agent.labels=false"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"shards = 3  # {file}" in lines
    assert 'max-age = "2s"  # WIRELAG_AGENT__BATCH__MAX_AGE' in lines
    assert "labels = false  # --set agent.labels" in lines
    assert f'"socket.timeout.ms" = 30000  # {file}' in lines
    assert "ring-pages = 256  # default" in lines


def test_show_refuses_what_run_would_refuse(capsys):
    assert main(["config", "show", "--set", "kafka.shard=3"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "did you mean 'shards'" in said.err


def test_default_is_a_file_of_all_settings_that_changes_nothing(tmp_path, capsys):
    assert main(["config", "default"]) == 0
    text = capsys.readouterr().out
    file = tmp_path / "agent.toml"
    for content in (text, re.sub(r"^#(?! )", "", text, flags=re.MULTILINE)):
        file.write_text(content)
        assert load(AgentSettings, file) == AgentSettings()


def test_schema_is_json_of_all_sections(capsys):
    assert main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) == set(fields_of(AgentSettings))
    assert schema["properties"]["capture"]["properties"]["ports"]["items"]["maximum"] == 65535
