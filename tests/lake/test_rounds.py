# SPDX-License-Identifier: Apache-2.0
"""`wirelag lake maintain --every` as a process: round after round, seen by Prometheus, ended by a signal."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from lake.facts import Facts
from support.kafka import ROOT
from tests.lake.synthetic import EVENT_KINDS, advance, expected, stored
from wirelag import cli

_COMMAND = "from wirelag.cli import command; command()"


def test_rounds_go_on_beside_a_writer_until_sigterm(facts: Facts, folder: str) -> None:
    advance(facts, range(1), 5, 20)
    told = ["--set", "lake.maintain.metrics-listen=127.0.0.1:0", "--set", "service.log-format=json"]
    arguments = ["lake", "maintain", "--lake", folder, "--every", "1s", *told]
    with subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            lines = (json.loads(line) for line in process.stderr)
            url = next(line["url"] for line in lines if line["event"] == "metrics")
            first = next(line for line in lines if line["event"] == "round")
            advance(facts, range(1), 5, 40)
            next(line for line in lines if line["event"] == "round" and line["removed"])
            with urlopen(url, timeout=60) as answer:  # noqa: S310 - our own process
                page = answer.read().decode()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert first["added"] == len(EVENT_KINDS) + 1
    assert 'wirelag_maintain_files_removed_total{action="merge files"}' in page
    assert 'wirelag_maintain_rounds_total{outcome="failed"}' not in page
    for kind in EVENT_KINDS:
        assert stored(facts, kind) == expected(kind, range(1), 40)


def test_a_round_that_fails_is_tried_again(facts: Facts, folder: str) -> None:
    """The lake's folder is away for a round: neither the process nor anything else ends."""
    advance(facts, range(1), 5, 20)
    log, away = Path(folder, "_delta_log"), Path(folder, "_away")
    arguments = ["lake", "maintain", "--lake", folder, "--every", "1s", "--set", "service.log-format=json"]
    with subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            lines = (json.loads(line) for line in process.stderr)
            next(line for line in lines if line["event"] == "round")
            log.rename(away)
            next(line for line in lines if "tried again" in line["event"])
            away.rename(log)
            next(line for line in lines if line["event"] == "round")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.parametrize("every", ["soon", "10ms", "5"])
def test_a_time_that_is_none_is_refused(
    facts: Facts, folder: str, capsys: pytest.CaptureFixture[str], every: str
) -> None:
    assert cli.main(["lake", "maintain", "--lake", folder, "--every", every]) == 2
    assert "--every: found" in capsys.readouterr().err
