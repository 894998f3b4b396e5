# SPDX-License-Identifier: Apache-2.0
"""Whatever a person gives ``wirelag``: one line says where and what is allowed, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from wirelag.cli import main

ROOT = Path(__file__).parents[2]
NOWHERE = ("--bootstrap", "127.0.0.1:1")
"""Never asked: what is refused is refused before."""


def refused(capsys, *arguments, code=2):
    assert main([*map(str, arguments)]) == code
    found = capsys.readouterr()
    assert found.err.startswith("wirelag: ")
    assert found.err.count("\n") == 1
    assert len(found.err) < 700
    assert "\x1b" not in found.err
    return found.err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe\x00", "no valid TOML: 'utf-8'"),
        (b"x = [", "no valid TOML"),
        (b"x = " + b"9" * 5_000, "no valid TOML"),
        (b"x = " + b"[" * 9_000, "nested too deeply"),
        (b"kafka = 3", "this is a section"),
        (b"[[kafka]]\nshards = 1", "this is a section"),
        (b"[kafkaa]\nx = 1", "did you mean 'kafka'"),
        (b"[kafka]\nshards = nan", "found nan; allowed is a whole number"),
        (b"[kafka]\nshards = 1979-05-27", "allowed is a whole number"),
        (b"[kafka]\nlinger = '-5s'", "allowed is a duration"),
        (b"[kafka]\nlinger = '5'", "allowed is a duration"),
        (b"[consumer]\ncycle = '999999999d'", "allowed is a duration"),
    ],
)
def test_files(tmp_path, capsys, content, says):
    file = tmp_path / "consumer.toml"
    if content is not None:
        file.write_bytes(content)
    for command in (("config", "show"), ("consume",), ("cat", "topic"), ("control", "list")):
        said = refused(capsys, *command, "--config", file)
        assert f"{file}: " in said
        assert says in said


def test_a_folder_is_no_file(tmp_path, capsys):
    assert "Is a directory" in refused(capsys, "config", "show", "--config", tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "allowed is section.key=value"),
        ("kafka.shards", "allowed is section.key=value"),
        ("kafka.shards=" + "9" * 5_000, "9…; allowed is a whole number"),
        ("kafka.shards=1e9", "allowed is a whole number"),
        ("kafka.bootstrap-servers=", "allowed is host:port"),
        ("kafka.bootstrap-servers=:::", "allowed is host:port"),
        ("kafka.bootstrap-servers=a b", "allowed is host:port"),
        ("kafka.events-topic=", "allowed are 1 to 249 letters"),
        ("kafka.poison-topic=a/b", "allowed are 1 to 249 letters"),
        ("service.metrics-listen=99999", "allowed is host:port or a port"),
        ("service.metrics-listen=here:²", "allowed is host:port or a port"),
        ("kafka.client-id=\udcff", "allowed is UTF-8"),
    ],
)
def test_settings(capsys, text, says):
    assert says in refused(capsys, "config", "show", "--set", text)


@pytest.mark.parametrize("servers", ["a", "a:1, b:2", "[::1]:9092", "PLAINTEXT://a.example:9092"])
def test_addresses_that_are_none_too_many(capsys, servers):
    assert main(["config", "show", "--set", f"kafka.bootstrap-servers={servers}"]) == 0


@pytest.mark.parametrize(
    ("question", "options", "says"),
    [
        ("latency", ("--by", ""), "--by: found ''"),
        ("latency", ("--kind", ","), "--kind: found ','"),
        ("latency", ("--from", "-" + "9" * 60 + "h"), "--from: found"),
        ("latency", ("--to", "NaN"), "--to: found 'NaN'"),
        ("messages", ("--limit", "-1"), "--limit: found -1"),
        ("messages", ("--limit", "nan"), "--limit"),
        ("connects", ("--by", "pod"), "--by: found 'pod'"),
        ("explain", ("--edge", "server"), "--edge: found 'server'; needed are two sides"),
        ("clocks", ("--from", "then"), "--from: found 'then'"),
        ("retransmits", ("--limit", "0"), "--limit: found 0"),
    ],
)
def test_questions_before_the_lake(capsys, tmp_path, question, options, says):
    """What is asked is judged although there is no lake."""
    assert says in refused(capsys, "query", question, "--lake", tmp_path / "none", *options)


def test_no_lake_at_all(capsys):
    assert "--lake" in refused(capsys, "query", "latency", "--lake", "")


def broken(folder):
    (folder / "_delta_log").mkdir()
    (folder / "_delta_log" / f"{0:020d}.json").write_text("{bad")
    return folder


def file(folder):
    (folder / "file").write_bytes(bytes(99))
    return folder / "file"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (broken, "cannot read the table"),
        (file, "Not a directory"),
        (lambda _: "weird://x", "Unknown scheme: weird"),
        (lambda _: "http://[", "invalid IPv6 address"),
        (lambda folder: folder / "caf\udce9", "cannot open"),
    ],
)
def test_lakes_that_are_none(capsys, tmp_path, make, says):
    """Deltalake's own words, without its colours, arrows and backtraces."""
    said = refused(capsys, "query", "losses", "--lake", make(tmp_path), code=1)
    assert says in said
    assert "<unknown>" not in said
    assert "check the path" in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--host", "*", "--for", "nan"), "--for: found 'nan'"),
        (("--host", "*", "--for", "0"), "--for: found '0'; allowed is more than 0s"),
        (("--host", ""), "--host"),
        (("--host", "x" * 300), "--host"),
        (("--host", "*", "--why", "x" * 300), "--why"),
        (("--host", "*", "--wait", "soon"), "--wait: found 'soon'"),
    ],
)
def test_orders_before_kafka(capsys, options, says):
    assert says in refused(capsys, "control", "stop", *NOWHERE, *options)


def test_a_terminal_that_lacks_a_character_and_a_disk_that_is_full():
    """What a character set lacks is written as an escape; a full disk is told in a line."""
    code = "import sys, wirelag.cli; sys.exit(wirelag.cli.main(['schema', 'show']))"
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    with Path("/dev/full").open("w") as full:
        for out, rc, said in ((subprocess.DEVNULL, 0, ""), (full, 1, "wirelag: No space left on device\n")):
            done = subprocess.run(
                [sys.executable, "-c", code], stdout=out, stderr=subprocess.PIPE, env=ascii_only, check=False
            )
            assert (done.returncode, done.stderr.decode()) == (rc, said)
