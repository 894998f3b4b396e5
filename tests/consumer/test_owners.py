# SPDX-License-Identifier: Apache-2.0
"""The owners' file: what is read, and what is refused with its line."""

from pathlib import Path

import pytest

from common.config import load
from common.errors import ConfigError
from consumer.cli import engines
from consumer.engine import EventEngine
from consumer.engine.names import Names, Owner
from consumer.owners import read_owners
from consumer.settings import ConsumerSettings
from consumer.source.topics import Partition

TEXT = "# comment\n\nfront   Team Web\n\t*@db-?:5432\t#dba \n  # indented\n*unit:billing* ops@example.org\n"


def test_lines_are_patterns_and_owners_in_order(tmp_path: Path) -> None:
    path = tmp_path / "owners"
    path.write_text(TEXT)
    assert read_owners(path) == (
        Owner("front", "Team Web"),
        Owner("*@db-?:5432", "#dba"),
        Owner("*unit:billing*", "ops@example.org"),
    )


@pytest.mark.parametrize(
    ("end", "label", "owner"),
    [
        ("front", "", "Team Web"),
        ("postgres@db-1:5432", "", "#dba"),
        ("postgres@db-1", "", None),
        ("python3@app", "user:7/unit:billing.service", "ops@example.org"),
        ("postgres@db-1:5432", "unit:billing.service", "#dba"),
        ("FRONT", "", None),
        ("", "", None),
    ],
)
def test_the_first_line_that_matches_name_or_label_decides(
    tmp_path: Path, end: str, label: str, owner: str | None
) -> None:
    path = tmp_path / "owners"
    path.write_text(TEXT)
    assert Names((), read_owners(path)).owner(end, label) == owner


def test_every_line_that_is_none_is_told_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "owners"
    path.write_text("front Team Web\nalone\n\nx a\x00b\n")
    with pytest.raises(ConfigError) as error:
        read_owners(path)
    assert str(error.value).splitlines() == [
        f"consumer.owners-file: {path}:2: found 'alone'; allowed is PATTERN OWNER",
        f"consumer.owners-file: {path}:4: found 'x a\\x00b'; allowed is PATTERN OWNER",
    ]
    assert error.value.exit_code == 2


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"consumer\.owners-file: .*none cannot be read: No such file"):
        read_owners(tmp_path / "none")
    (tmp_path / "bytes").write_bytes(b"a \xff\n")
    with pytest.raises(ConfigError, match="is no text in UTF-8"):
        read_owners(tmp_path / "bytes")


def test_engines_get_the_rules_and_owners_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "owners"
    path.write_text("front Team Web\n")
    told = ['consumer.edge-name=[{process = "cli", name = "front"}]', f"consumer.owners-file={path}"]
    settings = load(ConsumerSettings, overrides=told)
    engine = engines(settings)(Partition(settings.kafka.events_topic, 0), None)
    assert isinstance(engine, EventEngine)
    assert engine.settings.edge_names == settings.consumer.edge_name
    assert engine.settings.owners == (Owner("front", "Team Web"),)
    with pytest.raises(ConfigError, match="cannot be read"):
        engines(load(ConsumerSettings, overrides=[f"consumer.owners-file={tmp_path}/none"]))
