# SPDX-License-Identifier: Apache-2.0
"""`wirelag config`: the consumer's settings in force and why, all there are, and their schema."""

import json
import re
from pathlib import Path

import pytest

from common.config import load
from common.config.settings import fields_of
from consumer.settings import ConsumerSettings
from wirelag.cli import main


def test_show_says_where_each_setting_comes_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list of sections comes from where the list does; what is not written is said to be the default."""
    file = tmp_path / "consumer.toml"
    file.write_text('[lake]\nuri = "here"\n[[consumer.edge-name]]\nport = 80\nname = "web"\n')
    assert main(["config", "show", "--config", str(file), "--set", "consumer.cycle=1s"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f'uri = "here"  # {file}' in lines
    assert 'cycle = "1s"  # --set consumer.cycle' in lines
    assert f"port = 80  # {file}" in lines
    assert 'tick = "5s"  # default' in lines


def test_wrong_settings_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """As `consume` would refuse them: exit 2 and nothing on standard output."""
    assert main(["config", "show", "--set", "consumer.cycle=0s"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "allowed is 1ms or more" in said.err


def test_default_is_a_file_of_all_settings_that_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As printed, and with every setting taken out of its comment."""
    assert main(["config", "default"]) == 0
    text = capsys.readouterr().out
    file = tmp_path / "consumer.toml"
    for content in (text, re.sub(r"^#(?! )", "", text, flags=re.MULTILINE)):
        file.write_text(content)
        assert load(ConsumerSettings, file) == ConsumerSettings()


def test_schema_is_json_of_all_sections(capsys: pytest.CaptureFixture[str]) -> None:
    """Lists of sections have the schema of a section as that of an entry."""
    assert main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) == set(fields_of(ConsumerSettings))
    rules = schema["properties"]["consumer"]["properties"]["edge-name"]
    assert rules["items"]["properties"]["port"]["maximum"] == 65535
