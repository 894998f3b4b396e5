# SPDX-License-Identifier: Apache-2.0
"""Settings as text: TOML of the values in force, Markdown of what can be set."""

import json
from collections.abc import Iterator
from typing import Any

from common.config.settings import Field, Settings, fields_of, is_secret
from common.units import ByteSize, Duration

_MASK = "***"


def render(settings: Settings) -> str:
    """The settings as TOML, secrets masked: without any, `load` reads it back to an equal value.

    What is not set has no value in TOML and stands as a comment.
    """
    return "\n".join(_table(settings, "")).strip() + "\n"


def describe(cls: type[Settings], env_prefix: str) -> str:
    """A Markdown table, one row for each setting: key, variable, what is allowed, default, meaning."""
    rows = ["| key | variable | allowed | default | meaning |", "| --- | --- | --- | --- | --- |"]
    rows += [_row(path, field, env_prefix) for path, field in _walk(cls, ())]
    return "\n".join(rows) + "\n"


def _table(settings: Settings, path: str) -> Iterator[str]:
    """Lines of one section: its own values first, since in TOML all that follows a header belongs to it."""
    fields = fields_of(type(settings)).values()
    for field in fields:
        tables = field.section or field.is_table or (field.entries and getattr(settings, field.name))
        if not tables:
            yield _line(field.key, getattr(settings, field.name))
    for field in fields:
        value, name = getattr(settings, field.name), f"{path}.{field.key}".lstrip(".")
        if isinstance(value, Settings):
            yield from ["", f"[{name}]"]
            yield from _table(value, name)
        elif field.entries:
            for entry in value:
                yield from ["", f"[[{name}]]"]
                yield from _table(entry, name)
        elif isinstance(value, dict) and value:
            yield from ["", f"[{name}]"]
            yield from (_line(_toml(key), entry, secret=is_secret(key)) for key, entry in value.items())


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
