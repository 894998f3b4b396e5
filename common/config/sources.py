# SPDX-License-Identifier: Apache-2.0
"""Where settings are written: a TOML file, variables, `--set`. Each is read into a flat list of entries.

An entry's keys are as its source spells them; what they mean is decided against the settings class (`load`).
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from common.errors import ConfigError


class Entry(NamedTuple):
    """One value and where it was written. A variable and an argument hold text only."""

    keys: tuple[str, ...]
    value: Any
    source: str
    kind: Literal["file", "variable", "argument"]


def from_file(path: Path) -> list[Entry]:
    """Read a TOML file.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        text = path.read_bytes()
    except (OSError, ValueError) as error:  # a path may hold a NUL
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}") from error
    try:
        table = tomllib.loads(text.decode())
    except RecursionError as error:
        raise ConfigError(f"{path}: is no valid TOML: nested too deeply") from error
    except ValueError as error:  # no TOML, no UTF-8, or a number of too many digits
        raise ConfigError(f"{path}: is no valid TOML: {error}") from error
    return [Entry(keys, value, str(path), "file") for keys, value in _leaves(table, ())]


def from_environment(environ: Mapping[str, str], prefix: str) -> list[Entry]:
    """Read `PREFIX__SECTION__KEY=value`, where `_` stands for `-`; other variables are not looked at.

    Raises:
        ConfigError: one of them is no UTF-8.
    """
    start = f"{prefix}__"
    return [
        Entry(
            tuple(_key(part) for part in name.removeprefix(start).split("__")),
            _text(value, name),
            _text(name, name),
            "variable",
        )
        for name, value in sorted(environ.items())
        if name.startswith(start)
    ]


def from_overrides(overrides: Iterable[str]) -> list[Entry]:
    """Read `section.key=value`, as given to `--set`.

    Raises:
        ConfigError: there is no `=` in one of them, or it is no UTF-8.
    """
    return [_override(text) for text in overrides]


def _override(text: str) -> Entry:
    path, equals, value = _text(text, "--set").partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"--set {text}: allowed is section.key=value")
    return Entry(tuple(path.strip().split(".")), value.strip(), f"--set {path.strip()}", "argument")


def _text(text: str, source: str) -> str:
    """Return the text, unless it holds bytes that are no UTF-8, which Python keeps as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{ascii(source)[1:-1]}: found {text!a}; allowed is UTF-8") from error
    return text


def _key(part: str) -> str:
    return part.lower().replace("_", "-")


def _leaves(table: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value
