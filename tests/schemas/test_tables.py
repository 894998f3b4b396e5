# SPDX-License-Identifier: Apache-2.0
"""Columns of the lake's kinds may be added, and then readers have to know that older files lack them."""

import json
from pathlib import Path

from schemas.tables import GREW, KINDS

FIRST = Path(__file__).parent / "golden" / "tables-v1.json"
"""The columns of each kind when it was new; a new kind is added, no line is changed."""


def test_a_kind_keeps_its_first_columns_and_is_listed_once_it_has_more() -> None:
    """Nothing is renamed, moved or removed; kinds with more columns are those of GREW."""
    first = json.loads(FIRST.read_text())
    assert set(first) == set(KINDS)
    assert {kind: schema.names[: len(first[kind])] for kind, schema in KINDS.items()} == first
    assert {kind for kind, schema in KINDS.items() if len(schema.names) > len(first[kind])} == GREW
