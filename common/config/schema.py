# SPDX-License-Identifier: Apache-2.0
"""JSON Schema of a configuration file, for editors and for checks before a roll-out.

Stricter than `load` in that a number may not be text and a key of a pass-through table is one quoted key;
what two fields allow only together is for `load` alone to say.
"""

from pathlib import Path
from typing import Any

import msgspec

from common.config.settings import Field, Settings, fields_of
from common.units import ByteSize, Duration

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXTS = {
    Duration: {"type": "string", "pattern": r"^\s*([0-9]+(\.[0-9]+)?\s*(ns|us|µs|ms|s|m|h|d)|0+(\.0+)?)\s*$"},
    ByteSize: {"type": "string", "pattern": r"^\s*([0-9]+(\.[0-9]+)?\s*([kMGT]?B|[KMGT]iB)|0+(\.0+)?)\s*$"},
    Path: {"type": "string"},
}


def json_schema(cls: type[Settings], title: str) -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a TOML file for these settings, with meanings and defaults."""
    return {"$schema": DIALECT, "title": title, **_section(cls)}


def _section(cls: type[Settings]) -> dict[str, Any]:
    kinds = {info.encode_name: info.type for info in msgspec.structs.fields(cls)}
    known = {key: _property(field, kinds[key]) for key, field in fields_of(cls).items()}
    return {"type": "object", "properties": known, "additionalProperties": False}


def _property(field: Field, annotated: Any) -> dict[str, Any]:  # noqa: ANN401 - any annotation
    if field.section is not None:
        return _section(field.section)
    described = {"description": field.description} if field.description else {}
    if field.entries is not None:
        return {"type": "array", "items": _section(field.entries), **described}
    schema = _told(msgspec.json.schema(annotated, schema_hook=lambda kind: dict(_TEXTS[kind])))
    default = {} if field.default is None else {"default": _plain(field.default)}
    return {**schema, **described, **default}


def _told(schema: Any) -> Any:  # noqa: ANN401 - any piece of a schema
    """Leave null out: TOML has none, what is not set is not written."""
    if isinstance(schema, list):
        return [_told(one) for one in schema if one != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    told = {key: _told(value) for key, value in schema.items()}
    if len(told.get("anyOf", ())) == 1:
        told |= told.pop("anyOf")[0]
    return told


def _plain(value: Any) -> Any:  # noqa: ANN401 - any default
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Duration | ByteSize | Path) else value
