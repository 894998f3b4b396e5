# SPDX-License-Identifier: Apache-2.0
"""What every source file says, and what none may say."""

import re
import tomllib

import pytest

from support.house import FOLDERS, PACKAGES, ROOT, files

WITH_LICENCE = (".c", ".h", ".properties", ".py", ".service", ".sh", ".toml", ".xml", ".yaml", ".yml")
PROGRAMS = [path for path in files("scripts", ".ci") if not path.suffix]
TEXTS = [path for path in files(*FOLDERS) if path.suffix not in (".bin", ".png", ".svg", ".gz")]
AT_ROOT = [
    path.relative_to(ROOT) for path in sorted(ROOT.iterdir()) if path.suffix in (".md", ".toml", ".yaml")
]

# Folders of one person's machine. /home/you may stand in a guide, so a name is needed to be wrong.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|Users/\w+|home/(?!you\b)\w+)/")


def read(path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_every_source_file_names_its_licence_at_the_top():
    sources = files(*FOLDERS, suffixes=WITH_LICENCE) + PROGRAMS
    assert [str(path) for path in sources if "SPDX-License-Identifier: " not in read(path)[:300]] == []


def test_programs_for_the_kernel_are_gpl_and_all_else_is_apache():
    sources = files(*FOLDERS, suffixes=(".c", ".py"))
    licences = {path: "GPL-2.0-only" if path.name.endswith(".bpf.c") else "Apache-2.0" for path in sources}
    wrong = {str(path): wanted for path, wanted in licences.items() if wanted not in read(path)[:300]}
    assert wrong == {}


def test_no_file_names_a_folder_of_one_machine():
    found = {str(path): MACHINE_PATH.findall(read(path)) for path in [*TEXTS, *AT_ROOT]}
    assert {path: hits for path, hits in found.items() if hits} == {}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("/" + "work/x", True),
        ("'/" + "root/x'", True),
        ("/" + "home/me/x", True),
        ("/home/you/x", False),
        ("rootfs/work/x", False),
        ("docs/root/x", False),
    ],
)
def test_folder_of_one_machine_is_recognised(text, wrong):
    assert bool(MACHINE_PATH.search(text)) is wrong


def test_no_text_is_left_to_be_written():
    words = re.compile(r"\b(?:[T]ODO|[F]IXME)\b")
    assert [str(path) for path in [*TEXTS, *AT_ROOT] if words.search(read(path))] == []


def test_every_package_is_in_the_wheel():
    table = tomllib.loads(read("pyproject.toml"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert table["packages"] == list(PACKAGES)
