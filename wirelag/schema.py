# SPDX-License-Identifier: Apache-2.0
"""``wirelag schema``: the wire format in words, and whether a checkout's page and records fit the code."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from common.errors import ConfigError, RuntimeFailure
from schemas import batch, control, example

app = App(name="schema", help="The wire format: show it, check it.")

_PAGE = Path("docs/wire-format.md")
_GOLDEN = Path("tests/schemas/golden")


@app.command
def show() -> None:
    """Print the wire format (docs/wire-format.md): every field of everything that travels."""
    from schemas import document

    sys.stdout.write(document.render())


@app.command
def check(*, root: Annotated[Path, Parameter("--root", help="a checkout of wirelag")] = Path()) -> None:
    """Compare the committed page and golden records with the code; exit 1 where they differ.

    For example:

    wirelag schema check --root ~/src/wirelag
    """
    from schemas import document

    expected = {
        _PAGE: document.render().encode(),
        _GOLDEN / f"events-v{batch.VERSION}-lives.bin": batch.encode(example.batch()),
        _GOLDEN / f"heartbeat-v{control.VERSION}-clocks.json": control.encode(example.heartbeat()),
    }
    differing = [str(path) for path, value in expected.items() if _read(root / path) != value]
    if differing:
        raise RuntimeFailure(
            f"{', '.join(differing)}: not what the code says; `make docs` writes the page anew, another "
            "golden record needs a new version"
        )
    print(f"schema version {batch.VERSION}: page and golden records are what the code says")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path}: {error.strerror}; run this in a checkout, or name one with --root"
        raise ConfigError(message) from error
