# SPDX-License-Identifier: Apache-2.0
"""docs/metrics.md is what the services register."""

import re

import pytest

from deploy import metrics_page
from support.house import ROOT

PAGE = ROOT / "docs" / "metrics.md"
ROW = re.compile(r"^\| `((?:wirelag|process)_\w+)` \| (\w+) \| (.*?) \| (.+) \|$", re.MULTILINE)


def test_page_is_the_generators_output():
    assert PAGE.read_text(encoding="utf-8") == metrics_page.render(), "run `make docs`"


@pytest.mark.parametrize(("name", "kind", "labels", "meaning"), ROW.findall(metrics_page.render()))
def test_names_follow_prometheus(name, kind, labels, meaning):
    assert name.endswith("_total") == (kind == "counter")
    assert not re.search(r"_(ns|us|ms|millis|percent|mib|kb)(_|$)", name)
    assert "cpu" not in labels
    assert meaning
