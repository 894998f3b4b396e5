# SPDX-License-Identifier: Apache-2.0
"""The base of every settings section, and what can be asked about its fields.

A field holds a scalar (text, number, bool, Duration, ByteSize, Path, a Literal), an optional one, a tuple of
them, another section, a tuple of sections (`[[...]]` in TOML), or a dict of text to scalars (a pass-through
table).
"""

import difflib
import re
import types
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from common.units import ByteSize, Duration

_SECRET = re.compile(r"(password|passphrase|secret|token|pem)$")
_PLAIN_NAMES = {
    Duration: "a duration such as 10s",
    ByteSize: "a size such as 64MiB",
    Path: "a path",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One section of a configuration. Subclasses say `frozen=True` again, for type checkers.

    Every field has a default, so that an empty file is a valid one. What needs two fields to be judged is
    judged in `__post_init__`, by a ValueError that says what was found and what is allowed.
    """


class Field(NamedTuple):
    """One field of a section: its key in TOML, its type without Annotated, its default, what Meta says."""

    key: str
    name: str
    kind: Any
    default: Any
    description: str
    limits: str

    @property
    def allowed(self) -> str:
        """What may stand here, in words."""
        return " ".join(filter(None, [_allowed(self.kind), self.limits]))

    @property
    def section(self) -> type[Settings] | None:
        """The section that this field holds, if it holds one."""
        return self.kind if isinstance(self.kind, type) and issubclass(self.kind, Settings) else None

    @property
    def entries(self) -> type[Settings] | None:
        """The section that each entry of this list is, if it is a list of sections."""
        inner = _strip(get_args(self.kind)[0])[0] if self.is_list else None
        return inner if isinstance(inner, type) and issubclass(inner, Settings) else None

    @property
    def is_table(self) -> bool:
        """Whether it is a pass-through table, whose keys are not known beforehand."""
        return get_origin(self.kind) is dict

    @property
    def is_list(self) -> bool:
        """Whether it holds several values."""
        return get_origin(self.kind) in (tuple, list)


def fields_of(cls: type[Settings]) -> dict[str, Field]:
    """The fields of a section by their key in TOML, in the order written."""
    return {info.encode_name: _field(info) for info in msgspec.structs.fields(cls)}


def is_secret(key: str) -> bool:
    """Whether a value under this key must not be shown. `password` is one, `password-file` is not."""
    return bool(_SECRET.search(key.lower()))


def nearest(word: str, known: list[str]) -> str:
    """A hint such as ` (did you mean 'shards'?)`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word.lower().replace("_", "-"), known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _field(info: msgspec.structs.FieldInfo) -> Field:
    bare, metas = _strip(info.type)
    default = info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()
    description = next((meta.description for meta in metas if meta.description), "")
    limits = " ".join(limit for meta in metas for limit in _limits(meta))
    return Field(info.encode_name, info.name, bare, default, description, limits)


def _strip(annotation: Any) -> tuple[Any, list[msgspec.Meta]]:  # noqa: ANN401 - any annotation
    if get_origin(annotation) is not Annotated:
        return annotation, []
    inner, *metas = get_args(annotation)
    return inner, [meta for meta in metas if isinstance(meta, msgspec.Meta)]


def _limits(meta: msgspec.Meta) -> list[str]:
    signs = {">=": meta.ge, ">": meta.gt, "<=": meta.le, "<": meta.lt}
    limits = [f"{sign} {bound}" for sign, bound in signs.items() if bound is not None]
    if meta.min_length:
        limits.append("that is not empty" if meta.min_length == 1 else f"of at least {meta.min_length}")
    if meta.max_length is not None:
        limits.append(f"of at most {meta.max_length}")
    return limits + ([f"matching {meta.pattern}"] if meta.pattern else [])


def _allowed(annotation: Any) -> str:  # noqa: ANN401 - any annotation
    """What may stand where `annotation` is written, in words."""
    bare, metas = _strip(annotation)
    origin, arguments = get_origin(bare), get_args(bare)
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_allowed(choice) for choice in arguments if choice is not types.NoneType)
    if origin in (tuple, list):
        return f"a list, each {_allowed(arguments[0])}"
    if origin is dict:
        return "a table"
    if isinstance(bare, type) and issubclass(bare, Settings):
        return f"a table of {', '.join(fields_of(bare))}"
    limits = " ".join(limit for meta in metas for limit in _limits(meta))
    return " ".join(filter(None, [_PLAIN_NAMES.get(bare, getattr(bare, "__name__", str(bare))), limits]))
