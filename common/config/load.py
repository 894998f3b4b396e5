# SPDX-License-Identifier: Apache-2.0
"""Make settings of what the sources say, or refuse with one message for each thing that is wrong."""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from common.config.settings import Field, Settings, fields_of, is_secret, nearest
from common.config.sources import Entry, from_environment, from_file, from_overrides
from common.errors import ConfigError
from common.units import ByteSize, Duration, UnitError

S = TypeVar("S", bound=Settings)
Keys = tuple[str, ...]

_SHOWN = 200
"""Characters of a value that is refused."""

_MESSAGE = re.compile(r"(?P<reason>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)


def load(
    cls: type[S],
    path: Path | None = None,
    *,
    env_prefix: str = "",
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> S:
    """Settings of class `cls`: the file at `path`, over it the environment, over that `overrides`.

    Args:
        cls: the class of the whole configuration.
        path: a TOML file; None reads no file.
        env_prefix: such as `WIRELAG_AGENT`; an empty one reads no variables.
        overrides: texts such as `kafka.shards=24`.
        environ: the variables to look in, `os.environ` when None.

    Raises:
        ConfigError: any of it cannot be used. Nothing is skipped and nothing guessed.
    """
    return load_told(cls, path, env_prefix=env_prefix, overrides=overrides, environ=environ)[0]


def load_told(
    cls: type[S],
    path: Path | None = None,
    *,
    env_prefix: str = "",
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> tuple[S, dict[Keys, str]]:
    """What `load` returns, and where each setting that is written comes from; what is not has its default.

    A source is a file's path, a variable's name or `--set section.key`: no values, so no secrets.

    Raises:
        ConfigError: as `load` does.
    """
    placed = _place(cls, _read(path, env_prefix, overrides, environ))
    try:
        settings = msgspec.convert(_nest(placed), cls, strict=False, dec_hook=_convert)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(cls, placed, error)) from error
    return settings, {keys: entry.source for keys, entry in placed.items()}


def _read(
    path: Path | None, env_prefix: str, overrides: Iterable[str], environ: Mapping[str, str] | None
) -> list[Entry]:
    entries = from_file(path) if path else []
    if env_prefix:
        entries += from_environment(os.environ if environ is None else environ, env_prefix)
    return entries + from_overrides(overrides)


def _place(cls: type[Settings], entries: list[Entry]) -> dict[Keys, Entry]:
    """Each entry under the path of the field it sets; a later one replaces an earlier one."""
    placed: dict[Keys, Entry] = {}
    wrong = []
    for entry in entries:
        try:
            path, field = _resolve(cls, entry)
            placed[path] = entry._replace(value=_parsed(entry, field))
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong))
    return placed


def _resolve(cls: type[Settings], entry: Entry) -> tuple[Keys, Field]:
    """The path of keys that an entry sets, and the field at its end.

    In a pass-through table all that is left of the keys is one key, with dots in it.
    """
    section, whole = cls, ".".join(entry.keys)
    for depth, key in enumerate(entry.keys):
        known, path = fields_of(section), entry.keys[: depth + 1]
        if key not in known:
            raise ConfigError(
                f"{entry.source}: {whole}: there is no {key!r}{nearest(key, list(known))}; "
                f"allowed here: {', '.join(known)}"
            )
        field, rest = known[key], entry.keys[depth + 1 :]
        if field.is_table and rest:
            name = ".".join(rest)
            # A variable cannot be spelt with dots: OPTIONS__LINGER_MS is linger.ms
            return (*path, name.replace("-", ".") if entry.kind == "variable" else name), field
        if field.section is None and rest:
            raise ConfigError(f"{entry.source}: {whole}: {key!r} is no section; allowed is {field.allowed}")
        if field.section is None and not field.is_table:
            return entry.keys, field
        section = field.section or section
    raise ConfigError(f"{entry.source}: {whole}: found {_shown(entry)}; this is a section, set one key of it")


def _parsed(entry: Entry, field: Field) -> Any:  # noqa: ANN401 - whatever the source holds
    """The entry's value; from a source of text only, a list is `a,b` or a TOML array."""
    text = entry.value
    if entry.kind == "file" or not field.is_list:
        return text
    if not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return tomllib.loads(f"list = {text}")["list"]
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{entry.source}: found {text!r}; allowed is {field.allowed}") from error


def _nest(placed: Mapping[Keys, Entry]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, entry in placed.items():
        table = nested
        for key in path[:-1]:
            table = table.setdefault(key, {})
        table[path[-1]] = entry.value
    return nested


def _convert(wanted: type, found: object) -> object:
    """What msgspec does not know itself: durations, sizes, paths."""
    if not isinstance(found, str):
        raise UnitError(f"found {found!r}")
    if issubclass(wanted, Duration | ByteSize):
        return wanted.parse(found)
    if issubclass(wanted, Path):
        return wanted(found)
    raise NotImplementedError(wanted)


def _explain(cls: type[Settings], placed: Mapping[Keys, Entry], error: msgspec.ValidationError) -> str:
    """The message of a failed conversion: source, path, what was found, what is allowed."""
    match = _MESSAGE.fullmatch(str(error))
    reason, where = (match["reason"], match["path"] or "") if match else (str(error), "")
    keys = tuple(key for key in re.sub(r"\[[^]]*\]", "", where).split(".") if key)
    entry = placed.get(keys)
    for depth in range(1, len(keys) + 1):
        listed = placed.get(keys[:depth])
        if listed and "[" in where and (kind := _resolve(cls, listed)[1].entries):
            return f"{listed.source}: {where}: {_explain_entry(kind, listed, where, reason)}"
    if entry is None:  # a whole section: its own check found fields that do not go together
        sources = sorted({one.source for path, one in placed.items() if path[: len(keys)] == keys})
        return f"{', '.join(sources) or 'settings'}: {where or 'all'}: {reason}"
    field = _resolve(cls, entry)[1]
    detail = f" ({reason})" if field.is_list or field.is_table else ""
    return f"{entry.source}: {where}: found {_shown(entry)}; allowed is {field.allowed}{detail}"


def _explain_entry(kind: type[Settings], listed: Entry, where: str, reason: str) -> str:
    """What was found and what is allowed in a list of sections, at a path such as `a.b[1].key`."""
    number, _, key = where.rpartition("[")[2].partition("]")
    found, known = listed.value[int(number)], fields_of(kind)
    if key:
        field = known[key.removeprefix(".")]
        return f"found {found[field.key]!r}; allowed is {field.allowed}"
    if not isinstance(found, dict):
        return f"found {found!r}; allowed is a table of {', '.join(known)}"
    unknown = next((name for name in found if name not in known), None)
    if unknown is None:
        return reason
    return f"there is no {unknown!r}{nearest(unknown, list(known))}; allowed here: {', '.join(known)}"


def _shown(entry: Entry) -> str:
    text = repr(entry.value)
    return "***" if is_secret(entry.keys[-1]) else text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
