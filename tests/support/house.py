# SPDX-License-Identifier: Apache-2.0
"""The project's own source, as the house rules look at it."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "bpf", "common", "consumer", "history", "lake", "schemas", "wirelag")
FOLDERS = (*PACKAGES, "bench", "demo", "deploy", "docs", "scripts", "tests", ".ci")


class Import(NamedTuple):
    """One import statement's target, by its full name. Not `eager` when it is inside a function."""

    module: str
    eager: bool


class Function(NamedTuple):
    """A function and its length in lines, its docstring not counted."""

    name: str
    lines: int


def files(*folders: str, suffixes: tuple[str, ...] = ()) -> list[Path]:
    """Text files of these folders, relative to the root; of folders that do not exist, none."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    kept = [path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts]
    return sorted(path for path in kept if not suffixes or path.suffix in suffixes)


def modules(*packages: str) -> dict[str, Path]:
    """Python modules by their full name; a package by its `__init__`."""
    return {_module_name(path): path for path in files(*packages, suffixes=(".py",))}


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file given relative to the root."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def imports(path: Path, known: frozenset[str] = frozenset()) -> set[Import]:
    """What a file imports at run time. `from a import b` is a.b where that is one of the `known` modules."""
    found = set()
    for node, eager in _import_nodes(parsed(path), eager=True):
        if isinstance(node, ast.Import):
            found |= {Import(alias.name, eager) for alias in node.names}
        else:
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names]
            found |= {Import(name if name in known else base, eager) for name in names}
    return found


def functions(path: Path) -> Iterator[Function]:
    """Every function of a Python file, methods and inner ones included."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(f"{path}:{node.lineno} {node.name}", _length(node))


def c_functions(path: Path) -> Iterator[Function]:
    """Every function of a C file in kernel style: its braces stand alone in the first column."""
    start = 0
    for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            yield Function(f"{path}:{start}", number - start + 1)
            start = 0


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _import_nodes(node: ast.AST, *, eager: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, eager
        elif not _is_for_types(child):
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _import_nodes(child, eager=eager and not inside)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    has_docstring = ast.get_docstring(node, clean=False) is not None
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1 if has_docstring else 0)
