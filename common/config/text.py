# SPDX-License-Identifier: Apache-2.0
"""Settings as text: TOML of the values in force or of the defaults, Markdown of what can be set."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from common.config.settings import Field, Settings, fields_of, is_secret
from common.units import ByteSize, Duration

_MASK = "***"
_WIDTH = 100

Keys = tuple[str, ...]


def render(settings: Settings, sources: Mapping[Keys, str] | None = None) -> str:
    """The settings as TOML, secrets masked: without any, `load` reads it back to an equal value.

    What is not set has no value in TOML and stands as a comment. With `sources` (as `load_told` returns
    them) a comment behind each value says where it comes from.
    """
    return "\n".join(_table(settings, (), sources)).strip() + "\n"


def defaults(cls: type[Settings]) -> str:
    """A TOML file of all settings: meaning and what is allowed above each one, the default commented out.

    Lines of the form `#key = value`, without a space, become settings where the `#` is taken away.
    """
    return "\n".join(_defaults(cls, ())).strip() + "\n"


def describe(cls: type[Settings], env_prefix: str) -> str:
    """A Markdown table, one row for each setting: key, variable, what is allowed, default, meaning."""
    rows = ["| key | variable | allowed | default | meaning |", "| --- | --- | --- | --- | --- |"]
    rows += [_row(path, field, env_prefix) for path, field in _walk(cls, ())]
    return "\n".join(rows) + "\n"


def _table(settings: Settings, path: Keys, sources: Mapping[Keys, str] | None) -> Iterator[str]:
    """Lines of one section: its own values first, since in TOML all that follows a header belongs to it."""
    fields = fields_of(type(settings)).values()
    for field in fields:
        tables = field.section or field.is_table or (field.entries and getattr(settings, field.name))
        if not tables:
            value = getattr(settings, field.name)
            yield _line(field.key, value) + _origin((*path, field.key), value, sources)
    for field in fields:
        value, below = getattr(settings, field.name), (*path, field.key)
        name = ".".join(below)
        if isinstance(value, Settings):
            yield from ["", f"[{name}]"]
            yield from _table(value, below, sources)
        elif field.entries:
            for entry in value:
                yield from ["", f"[[{name}]]"]
                yield from _table(entry, below, sources)
        elif isinstance(value, dict) and value:
            yield from ["", f"[{name}]"]
            for key, one in value.items():
                yield _line(_toml(key), one, secret=is_secret(key)) + _origin((*below, key), one, sources)


def _origin(path: Keys, value: object, sources: Mapping[Keys, str] | None) -> str:
    """The comment that says where a value comes from; a list of sections has one source."""
    if sources is None or value is None:
        return ""
    above = (path[:depth] for depth in range(len(path), 0, -1))
    found = next((sources[keys] for keys in above if keys in sources), "default")
    return f"  # {found}".replace("\n", " ")


def _defaults(cls: type[Settings], path: Keys) -> Iterator[str]:
    fields = fields_of(cls).values()
    for field in fields:
        if not (field.section or field.is_table):
            yield from _said(field)
            line = _line(field.key, field.default)
            yield line if line.startswith("#") else f"#{line}"
    for field in fields:
        below = (*path, field.key)
        if field.section or field.is_table:
            yield from [*(_said(field) if field.is_table else ()), "", f"[{'.'.join(below)}]"]
        if field.section:
            yield from _defaults(field.section, below)


def _said(field: Field) -> Iterator[str]:
    text = ". ".join(filter(None, [field.description.rstrip("."), f"Allowed: {field.allowed}"]))
    yield ""
    yield from textwrap.wrap(
        text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )


def _line(key: str, value: object, *, secret: bool = False) -> str:
    if value is None:
        return f"# {key} is not set"
    hidden = value != "" and (secret or is_secret(key))
    return f"{key} = {_toml(_MASK if hidden else value)}"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and not isinstance(value, Duration | ByteSize):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _walk(cls: type[Settings], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Field]]:
    for field in fields_of(cls).values():
        path = (*above, field.key)
        if field.section is not None:
            yield from _walk(field.section, path)
        else:
            yield path, field


def _row(path: tuple[str, ...], field: Field, env_prefix: str) -> str:
    variable = "__".join([env_prefix, *(key.upper().replace("-", "_") for key in path)])
    cells = [
        f"`{'.'.join(path)}`",
        f"`{variable}`",
        field.allowed,
        _default(field.default),
        field.description,
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: Any) -> str:  # noqa: ANN401 - any default
    return f"`{_toml(value)}`" if value not in (None, "", (), {}) else "none"
