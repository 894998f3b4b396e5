# SPDX-License-Identifier: Apache-2.0
"""docs/security.md names every field that leaves a host, and every setting of privacy."""

import re

import msgspec
import pytest

from agent.privacy.settings import PrivacySection
from agent.privacy.veil import PSEUDONYMS
from common.config.settings import fields_of
from schemas import batch, control, latency, order
from schemas.event import STRUCTS
from support.house import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
TOLD = [batch.EventBatch, batch.Flow, batch.Process, *STRUCTS.values()]
TOLD += [control.Heartbeat, control.Total, control.Left, control.Reading, order.Order, latency.LatencyRecord]


def row_of(name: str) -> set[str]:
    """Return what is in backquotes in the row of a record."""
    rows = [line for line in PAGE.splitlines() if f"`{name}`" in line.partition("| ")[2].partition(" |")[0]]
    assert len(rows) == 1, name
    return set(re.findall(r"`([^`]+)`", rows[0]))


@pytest.mark.parametrize("record", TOLD, ids=lambda record: record.__name__)
def test_every_field_that_travels_is_in_the_inventory(record: type[msgspec.Struct]) -> None:
    """A field that is added has to be judged: is it an address, a name, a text?"""
    assert set(record.__struct_fields__) <= row_of(record.__name__)


def test_a_field_that_is_missing_would_be_found() -> None:
    """The row of one record does not stand for another."""
    assert not set(control.Heartbeat.__struct_fields__) <= row_of("Order")


def test_the_page_says_how_to_hide() -> None:
    """Every setting, and the range of pseudonyms as the agent makes them."""
    assert all(f"`privacy.{key}`" in PAGE for key in fields_of(PrivacySection))
    words = PSEUDONYMS.hex()
    assert f"`{words[:4]}:{words[4:8]}:{words[8:]}::/48`" in PAGE
