# SPDX-License-Identifier: Apache-2.0
"""An account that does not balance fails the test that tells it: the matrix can fail."""

from pathlib import Path

import pytest

from support.faults import Faults


@pytest.mark.parametrize(("events", "stored", "lost"), [(10, 8, {"kafka/timeout": 1}), (0, 0, {})])
def test_what_does_not_balance_is_refused(tmp_path: Path, events, stored, lost):
    with pytest.raises(AssertionError):
        Faults(tmp_path / "told", full=True).tell("none", events=events, stored=stored, lost=lost)
    assert (tmp_path / "told").read_text().count("\n") == 1
