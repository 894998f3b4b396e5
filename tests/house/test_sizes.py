# SPDX-License-Identifier: Apache-2.0
"""How long a file and a function may be."""

from pathlib import Path
from statistics import median, quantiles

import pytest

from support.house import FOLDERS, PACKAGES, ROOT, c_functions, files, functions

MOST_LINES_IN_FILE = 300
MOST_LINES_IN_FUNCTION = 50
CODE = files(*FOLDERS, suffixes=(".py", ".c", ".h", ".sh"))


def lines(path: Path) -> int:
    return len((ROOT / path).read_text(encoding="utf-8").splitlines())


def test_no_file_is_longer_than_a_person_reads_at_once():
    assert {str(path): lines(path) for path in CODE if lines(path) > MOST_LINES_IN_FILE} == {}


def test_no_function_is_longer_than_a_screen():
    every = [one for path in CODE if path.suffix == ".py" for one in functions(path)]
    every += [one for path in CODE if path.suffix in (".c", ".h") for one in c_functions(path)]
    assert {one.name: one.lines for one in every if one.lines > MOST_LINES_IN_FUNCTION} == {}


def test_most_files_and_functions_are_small():
    code = files(*PACKAGES, suffixes=(".py",))
    sizes = [function.lines for path in code for function in functions(path)]
    assert median(lines(path) for path in code) <= 120
    assert median(sizes) <= 8
    assert quantiles(sizes, n=10)[-1] <= 25


@pytest.mark.parametrize("source", ["{\n}\n", "int f(void)\n{\n\treturn 1;\n}\nstatic int g(void)\n{\n}\n"])
def test_functions_of_c_are_found(tmp_path, monkeypatch, source):
    (tmp_path / "a.c").write_text(source)
    monkeypatch.setattr("support.house.ROOT", tmp_path)
    assert len(list(c_functions(Path("a.c")))) == source.count("{")
