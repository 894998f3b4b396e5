# SPDX-License-Identifier: Apache-2.0
"""The fuzz targets on their seeds, and on every input that ever failed: crashers/, named TARGET-what."""

from pathlib import Path

import pytest

from fuzz import kernel, records, spools, state, texts

TARGETS = {one.name: one for module in (records, kernel, texts, state, spools) for one in module.TARGETS}
CRASHERS = sorted((Path(__file__).parent / "crashers").iterdir())


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_are_taken(name: str) -> None:
    for seed in TARGETS[name].seeds():
        TARGETS[name].one(seed)


@pytest.mark.parametrize("path", CRASHERS, ids=lambda path: path.name)
def test_what_once_failed_holds(path: Path) -> None:
    name = max((one for one in TARGETS if path.name.startswith(f"{one}-")), key=len)
    TARGETS[name].one(path.read_bytes())
