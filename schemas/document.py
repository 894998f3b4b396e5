# SPDX-License-Identifier: Apache-2.0
"""``python -m schemas.document`` prints docs/wire-format.md, made from the Structs: no field can be missing.

Types, ranges and defaults come from msgspec, units and packings of events from ``described``, meanings from
the texts below the fields in the source; a field without a meaning is a TypeError.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable
from enum import IntFlag
from pathlib import Path
from string import Template
from typing import Any

import msgspec
from msgspec import inspect as types

from schemas import batch, control, decoder, example, field, latency, order, section
from schemas.event import STRUCTS, Audit, Flag, Kind
from schemas.field import Packing, columns_of

_HERE = Path(__file__).parent
_UNITS = {"_ns": "ns", "_us": "µs", "_bytes": "bytes"}
_SMALL = 100_000
Row = Iterable[object]


def render() -> str:
    """Return the whole page."""
    pieces = {
        "version": batch.VERSION,
        "record_bytes": f"{batch.MAX_RECORD_BYTES:,}",
        "events": f"{section.MAX_EVENTS:,}",
        "tag": batch.TAG,
        "event_tables": "\n\n".join(_event_table(kind) for kind in Kind),
        "flags": _bits(Flag),
        "marks": _bits(batch.Mark),
        "audits": _audits(),
        "batch": _struct_table(batch.EventBatch, numbered=1),
        "flow": _struct_table(batch.Flow, numbered=0),
        "process": _struct_table(batch.Process, numbered=0),
        "section": _struct_table(section.Section, numbered=0),
        "section_lists": _section_lists(),
        "packings": _packings(),
        "decoder": inspect.getsource(decoder).split("# begin\n")[1].strip(),
        "heartbeat": _struct_table(control.Heartbeat),
        "total": _struct_table(control.Total),
        "left": _struct_table(control.Left),
        "reading": _struct_table(control.Reading, numbered=0),
        "order": _struct_table(order.Order),
        "latency": _struct_table(latency.LatencyRecord),
        "latency_note": _note(latency.__doc__),
        **_golden(),
    }
    return Template((_HERE / "document.md").read_text(encoding="utf-8")).substitute(pieces)


def meanings(owner: type[Any]) -> dict[str, str]:
    """Return what stands below each field or member of a class in its source, on one line."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    if not isinstance(tree, ast.ClassDef):
        raise TypeError(f"{owner} is no class")
    found: dict[str, str] = {}
    for statement, following in zip(tree.body, tree.body[1:], strict=False):
        name = _assigned(statement)
        if name and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            found[name] = " ".join(str(following.value.value).split())
    return found


def _assigned(statement: ast.stmt) -> str | None:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return targets[0].id if isinstance(targets[0], ast.Name) else None


def _meaning(owner: type[Any], name: str) -> str:
    found = meanings(owner).get(name)
    if found is None:
        raise TypeError(f"{owner.__name__}.{name} says nowhere what it means")
    return _code(found)


def _event_table(kind: Kind) -> str:
    struct = STRUCTS[kind]
    rows = [
        (f"`{one.name}`", one.unit, one.packing.value, one.bits, _code(one.meaning))
        for one in columns_of(struct)
    ]
    table = _table(("field", "unit", "packing", "bits", "meaning"), rows)
    heading = f"### {struct.__name__} (`{kind.name.lower()}`, kind {kind.value})"
    return f"{heading}\n\n{_note(struct.__doc__)}\n\n{table}"


def _bits(flags: type[IntFlag]) -> str:
    rows = [(f"0x{flag.value:x}", f"`{flag.name}`", _meaning(flags, flag.name or "")) for flag in flags]
    return _table(("bit", "name", "meaning"), rows)


def _audits() -> str:
    rows = [(one.value, f"`{one.name.lower()}`", _meaning(Audit, one.name)) for one in Audit]
    return _table(("value", "name", "meaning"), rows)


def _packings() -> str:
    rows = [(f"`{one.value}`", _meaning(field.Packing, one.name)) for one in Packing]
    return _table(("packing", "what is stored"), rows)


def _section_lists() -> str:
    lines = []
    for kind in Kind:
        runs, events = section.split(kind)
        firsts = [one for one in events if one.packing is not Packing.PLAIN]
        lines.append((batch.SECTIONS[kind], _names(runs), _names(firsts), _names(events)))
    return _table(("section", "`run_columns`", "`first_values`", "`event_columns`"), lines)


def _names(columns: list[field.Column]) -> str:
    return ", ".join(f"`{one.name}`" for one in columns)


def _struct_table(struct: type[msgspec.Struct], numbered: int | None = None) -> str:
    info = types.type_info(struct)
    if not isinstance(info, types.StructType):
        raise TypeError(f"{struct} is no Struct")
    rows: list[Row] = []
    for index, one in enumerate(info.fields):
        cells = [f"`{one.encode_name}`", *_type(one), _unit(one), _meaning(struct, one.name)]
        rows.append(cells if numbered is None else [index + numbered, *cells])
    names = ["field", "type", "range", "unit", "meaning"]
    return _table(names if numbered is None else ["entry", *names], rows)


def _unit(one: types.Field) -> str:
    if isinstance(one.type, types.Metadata) and one.type.extra:
        return str(one.type.extra["unit"])
    return next((unit for suffix, unit in _UNITS.items() if one.name.endswith(suffix)), "")


def _type(one: types.Field) -> tuple[str, str]:
    """Return (type, range) of a field in words; a default makes it optional."""
    bare = one.type.type if isinstance(one.type, types.Metadata) else one.type
    name = _type_name(bare)
    return name if one.required else f"{name}, optional", _range(bare)


def _type_name(bare: types.Type) -> str:
    match bare:
        case types.StructType():
            return f"`{bare.cls.__name__}`"
        case types.VarTupleType() | types.ListType():
            inner = bare.item_type.type if isinstance(bare.item_type, types.Metadata) else bare.item_type
            return f"array of {_type_name(inner)}"
        case types.DictType():
            return "object: integer (as text) → integer"
        case types.LiteralType():
            return "text: " + " or ".join(f"`{value}`" for value in bare.values)
    plain = {
        types.IntType: "integer",
        types.StrType: "text",
        types.BytesType: "bytes",
        types.BoolType: "boolean",
    }
    return plain[type(bare)]


def _range(bare: types.Type) -> str:
    if isinstance(bare, types.IntType) and bare.ge is not None:
        return f"{_number(bare.ge)} to {_number(2**64 - 1 if bare.le is None else bare.le)}"
    least, most = getattr(bare, "min_length", None), getattr(bare, "max_length", None)
    if most is None:
        return ""
    what = {types.StrType: "characters", types.BytesType: "bytes"}.get(type(bare), "entries")
    return f"{most:,} {what}" if least == most else f"{least or 0} to {most:,} {what}"


def _number(value: int) -> str:
    if abs(value) < _SMALL:
        return f"{value:,}"
    if value > 0:
        return f"2^{(value + 1).bit_length() - 1} - 1"
    return (
        f"-2^{(-value).bit_length()} + 1" if value & -value != -value else f"-2^{(-value).bit_length() - 1}"
    )


def _golden() -> dict[str, object]:
    made = example.batch()
    sends = made.sends
    rows: list[Row] = []
    for name in sends.__struct_fields__:
        value = getattr(sends, name)
        rows += [(f"`{label}`", shown) for label, shown in _entries(name, value)]
    first = msgspec.json.encode(batch.rows(made)[0])
    heartbeat = msgspec.json.format(control.encode(example.heartbeat()))
    return {
        "golden_bytes": len(batch.encode(made)),
        "golden_section": _table(("entry", "value"), rows),
        "golden_row": first.decode(),
        "golden_heartbeat": heartbeat.decode(),
        "golden_order": msgspec.json.format(order.encode(example.order())).decode(),
    }


def _entries(name: str, value: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - any entry of a section
    if not isinstance(value, tuple):
        return [(name, _hex(value) if isinstance(value, bytes) else str(value))]
    runs, events = section.split(Kind.SEND)
    firsts = [one for one in events if one.packing is not Packing.PLAIN]
    columns = {"run_columns": runs, "first_values": firsts, "event_columns": events}[name]
    return [(f"{name}: {one.name}", _hex(packed)) for one, packed in zip(columns, value, strict=True)]


def _hex(value: bytes) -> str:
    return f"`{value.hex(' ')}`"


def _note(text: str | None) -> str:
    """Return a docstring's text without its heading, or the heading where there is no more."""
    heading, _, rest = (text or "").strip().partition("\n\n")
    return _code(" ".join((rest or heading).split()))


def _code(text: str) -> str:
    return text.replace("``", "`")


def _table(names: Iterable[str], rows: Iterable[Row]) -> str:
    heads = list(names)
    lines = [heads, ["---"] * len(heads), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(render())
