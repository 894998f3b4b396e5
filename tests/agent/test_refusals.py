# SPDX-License-Identifier: Apache-2.0
"""Whatever a person gives ``wirelag-agent``: one line says where and what is allowed; nothing is traced."""

import pytest

from agent.cli import main


def refused(capsys, *arguments, code=2):
    assert main([*map(str, arguments)]) == code
    said = capsys.readouterr().err
    assert said.startswith("wirelag-agent: ")
    assert said.count("\n") == 1
    assert len(said) < 700
    return said


@pytest.mark.parametrize(
    "command",
    [
        ("run",),
        ("check",),
        ("config", "show"),
        ("spool", "ls"),
        ("spool", "verify"),
        ("spool", "drain"),
        ("spool", "drop"),
        ("status",),
        ("audit",),
        ("doctor",),
        ("count",),
        ("trace",),
        ("top",),
        ("life",),
    ],
)
def test_every_command_refuses_settings_before_it_begins(capsys, tmp_path, command):
    file = tmp_path / "agent.toml"
    assert "No such file" in refused(capsys, *command, "--config", file)
    file.write_bytes(b"\xff\x00")
    assert "no valid TOML" in refused(capsys, *command, "--config", file)
    said = refused(capsys, *command, "--set", "kafka.linger=5")
    assert "kafka.linger: found '5'; allowed is a duration" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("agent.host-name=" + "x" * 256, "allowed is text of at most 255"),
        ("kafka.events-topic=a b", "allowed are 1 to 249 letters"),
        ("service.metrics-listen=nobody:xx", "allowed is host:port or a port"),
        ("brakes.max-cpu-percent=nan", "allowed is a number >= 0"),
        ("spool.max-disk-share=nan", "allowed is a number > 0"),
        ("spool.path=here", "allowed is an absolute path"),
    ],
)
def test_settings(capsys, text, says):
    assert says in refused(capsys, "config", "show", "--set", text)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("count", "--interval", "nan"), "--interval: found nan"),
        (("count", "--interval", "inf"), "--interval: found inf"),
        (("count", "--times", "0"), "--times: found 0"),
        (("count", "--port", "0"), "--port: found 0; allowed is 1 to 65535"),
        (("trace", "--port", "70000"), "--port: found 70000"),
        (("trace", "--wait", "soon"), "--wait: found 'soon'"),
        (("life", "--pid", "99999999999999999999"), "--pid: found 99999999999999999999"),
        (("life", "--pid", "-1"), "--pid"),
        (("top", "--interval", "nan"), "--interval: found nan"),
        (("top", "--rows", "0"), "--rows: found 0"),
        (("top", "--comm", ""), "--comm: found ''"),
        (("spool", "drain", "--patience", "soon"), "--patience: found 'soon'"),
    ],
)
def test_options(capsys, arguments, says):
    assert says in refused(capsys, *arguments)


@pytest.mark.parametrize("command", [("status",), ("audit",)])
def test_a_runtime_folder_that_is_a_file(capsys, tmp_path, command):
    (tmp_path / "file").touch()
    said = refused(capsys, *command, "--set", f"agent.runtime-dir={tmp_path / 'file'}", code=1)
    assert "is no folder" in said


@pytest.mark.parametrize("command", ["ls", "verify", "drop"])
def test_a_spool_that_is_a_file(capsys, tmp_path, command):
    (tmp_path / "file").touch()
    said = refused(capsys, "spool", command, "--set", f"spool.path={tmp_path / 'file'}", code=1)
    assert "is no folder" in said
