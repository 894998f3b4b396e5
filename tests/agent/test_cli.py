# SPDX-License-Identifier: Apache-2.0
"""The command line of the agent, as a person meets it."""

import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli import main
from agent.settings import AgentSettings
from common.errors import ConfigError
from support.cgroups import UNIFIED


def test_an_unknown_key_is_refused_with_its_place_and_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing error in the file stops everything before it starts, exit 2."""
    file = tmp_path / "agent.toml"
    file.write_text("[capture]\nport = [80]\n", encoding="utf-8")
    assert main(["check", "--config", str(file)]) == 2
    said = capsys.readouterr().err
    assert str(file) in said
    assert "capture.port" in said
    assert "did you mean 'ports'" in said


def test_a_namespace_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A path that names nothing is told with the setting's name, exit 2."""
    assert main(["check", "--offline", "--set", "capture.netns=/run/netns/not-there"]) == 2
    assert "capture.netns: found '/run/netns/not-there'" in capsys.readouterr().err


def test_a_ring_that_is_no_power_of_two_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """What the kernel would not take is refused by the settings, exit 2."""
    assert main(["check", "--offline", "--set", "capture.ring-pages=100"]) == 2
    assert "a power of two" in capsys.readouterr().err


def test_an_unknown_command_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped command is a configuration error like any other: exit 2, no traceback."""
    assert main(["chek"]) == 2
    said = capsys.readouterr().err
    assert "chek" in said
    assert "Traceback" not in said


def test_the_fleet_key_is_read_from_its_file_and_too_short_a_one_refused(tmp_path: Path) -> None:
    """The secret is the file's content; under 16 bytes it is no secret."""
    good, short = tmp_path / "good", tmp_path / "short"
    good.write_bytes(b"0123456789abcdef\n")
    short.write_bytes(b"abc")

    def settings(file: Path) -> AgentSettings:
        from common.config import load  # noqa: PLC0415 - beside its only use

        return load(AgentSettings, overrides=[f"agent.fleet-key-file={file}"])

    assert settings(good).fleet_key() == b"0123456789abcdef"
    with pytest.raises(ConfigError, match="holds 3 bytes; at least 16"):
        settings(short).fleet_key()
    with pytest.raises(ConfigError, match="No such file"):
        settings(tmp_path / "none").fleet_key()


@pytest.mark.kernel
def test_check_names_what_was_found_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """On a fit kernel every line is said and the exit is 0."""
    assert main(["check", "--offline"]) == 0
    said = capsys.readouterr().out
    assert "kernel ok: raw tracepoints" in said
    assert "fleet key: none set" in said
    assert f"labels: of the cgroups below {UNIFIED}" in said


@pytest.mark.kernel
def test_without_root_there_is_one_clear_message() -> None:
    """Somebody who may not load BPF programs is told so in one line that names the remedy, exit not 0."""
    command = [sys.executable, "-m", "agent", "count", "--times", "1"]
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    done = subprocess.run(nobody, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "root" in done.stderr
