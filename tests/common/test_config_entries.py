# SPDX-License-Identifier: Apache-2.0
"""Lists of sections, `[[like.this]]` in TOML: read from every source, told exactly where they are wrong."""

from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from common.config import Settings, describe, load, render
from common.errors import ConfigError
from common.units import Duration


class Rule(Settings, frozen=True):
    name: Annotated[str, Meta(min_length=1)] = "any"
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    wait: Duration = Duration(1)

    def __post_init__(self):
        if self.name == "both" and self.port:
            raise ValueError("name both allows no port")


class Inner(Settings, frozen=True):
    rule: Annotated[tuple[Rule, ...], Meta(description="Rules")] = ()
    last: str = ""


class Outer(Settings, frozen=True):
    inner: Inner = Inner()
    other: Inner = Inner()


RULES = (Rule("a", 80), Rule("b", wait=Duration(0.2)))
TOML = '[[inner.rule]]\nname = "a"\nport = 80\n[[inner.rule]]\nname = "b"\nwait = "200ms"\n'
INLINE = '[{name = "a", port = 80}, {name = "b", wait = "200ms"}]'


@pytest.fixture
def write(tmp_path):
    def write(text):
        path: Path = tmp_path / "w.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_tables_become_sections_in_their_order(write):
    assert load(Outer, write(TOML)).inner.rule == RULES


def test_text_gives_them_as_a_toml_array():
    assert load(Outer, overrides=[f"inner.rule={INLINE}"]).inner.rule == RULES
    assert load(Outer, env_prefix="W", environ={"W__INNER__RULE": INLINE}).inner.rule == RULES


def test_they_survive_being_written_and_read(write):
    settings = Outer(Inner(RULES, "x"), Inner((Rule(),)))
    assert load(Outer, write(render(settings))) == settings
    assert load(Outer, write(render(Outer()))) == Outer()


def test_describe_says_what_an_entry_holds():
    assert (
        "| `inner.rule` | `W__INNER__RULE` | a list, each a table of name, port, wait | none | Rules |"
        in describe(Outer, "W")
    )


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            "prt = 3",
            "inner.rule[1]: there is no 'prt' (did you mean 'port'?); allowed here: name, port, wait",
        ),
        ("port = 0", "inner.rule[1].port: found 0; allowed is a whole number >= 1 <= 65535"),
        ("port = 'x'", "inner.rule[1].port: found 'x'; allowed is a whole number >= 1 <= 65535"),
        ("name = ''", "inner.rule[1].name: found ''; allowed is text that is not empty"),
        ("name = [1]", "inner.rule[1].name: found [1]; allowed is text that is not empty"),
        ("wait = 3", "inner.rule[1].wait: found 3; allowed is a duration such as 10s"),
        ("name = 'both'\nport = 1", "inner.rule[1]: name both allows no port"),
    ],
)
def test_a_wrong_entry_is_told_by_file_place_found_and_allowed(write, second, message):
    path = write(f"[[inner.rule]]\nname = 'a'\n[[inner.rule]]\n{second}\n")
    with pytest.raises(ConfigError) as error:
        load(Outer, path)
    assert str(error.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inner.rule = [3]", "inner.rule[0]: found 3; allowed is a table of name, port, wait"),
        ("inner.rule = 3", "inner.rule: found 3; allowed is a list, each a table of name, port, wait"),
        (
            "[inner.rule]\nname = 'a'",
            "inner.rule.name: 'rule' is no section; allowed is a list, each a table",
        ),
    ],
)
def test_what_is_no_list_of_tables_is_refused(write, text, message):
    path = write(text)
    with pytest.raises(ConfigError) as error:
        load(Outer, path)
    assert str(error.value).startswith(f"{path}: {message}")
