# SPDX-License-Identifier: Apache-2.0
"""Settings: defaults are valid and documented, what cannot work is refused with key and remedy."""

from pathlib import Path

import pytest

from common.config import describe, load, render
from common.errors import ConfigError
from consumer.settings import ENV_PREFIX, ConsumerSettings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "consumer.md"


def test_the_defaults_written_to_a_file_are_read_back(tmp_path: Path) -> None:
    file = tmp_path / "consumer.toml"
    file.write_text(render(ConsumerSettings()))
    assert load(ConsumerSettings, file) == ConsumerSettings()


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ("consumer.cycle=0", "allowed is 1ms or more"),
        ("consumer.tick=1us", "allowed is 1ms or more"),
        ("consumer.cycle=5", "allowed is a duration such as 10s"),
        ("consumer.cycles=5s", "did you mean 'cycle'"),
        ("lake.uri=", "lake.uri"),
        ("lake.storage-options.aws_secret_access_key=x", "AWS_SECRET_ACCESS_KEY"),
        ("kafka.options.auto.offset.reset=latest", "decided by wirelag"),
    ],
)
def test_what_cannot_work_is_refused(told: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        load(ConsumerSettings, overrides=[told])


def test_the_newer_group_protocol_takes_no_static_id() -> None:
    with pytest.raises(ConfigError, match="instance-id"):
        load(ConsumerSettings, overrides=["consumer.group-protocol=consumer", "consumer.instance-id=a"])


def test_the_page_has_a_row_for_each_setting_as_the_code_describes_it() -> None:
    rows = [row for row in describe(ConsumerSettings, ENV_PREFIX).splitlines() if row.startswith("| `")]
    own = [row for row in rows if row.startswith(("| `lake.", "| `consumer."))]
    page = PAGE.read_text(encoding="utf-8")
    assert own
    assert [row for row in own if row not in page] == []
