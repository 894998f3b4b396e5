# SPDX-License-Identifier: Apache-2.0
"""docs/wire-format.md is what the code says, and enough to write a decoder from."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import batch, control, decoder, document, example, order
from schemas.event import STRUCTS, Kind
from schemas.field import columns_of
from support.batches import Fleet

PAGE = Path(__file__).parents[2] / "docs" / "wire-format.md"


def expected(value: bytes) -> list[tuple[str, dict[str, int]]]:
    """Return what the real decoder finds, spelled like the documented one."""
    rows = batch.rows(batch.decode(value))
    names = {struct: kind.name.lower() for kind, struct in STRUCTS.items()}
    return [(names[type(row)], msgspec.structs.asdict(row)) for row in rows]


def test_page_is_the_generators_output() -> None:
    """The committed page is what `make docs` writes."""
    assert PAGE.read_text(encoding="utf-8") == document.render(), "run `make docs`"


@pytest.mark.parametrize(
    "owner", [*STRUCTS.values(), batch.EventBatch, batch.Flow, batch.Process, control.Heartbeat, order.Order]
)
def test_every_field_is_on_the_page(owner: type[msgspec.Struct]) -> None:
    """No field of what travels is missing from the page."""
    page = document.render()
    assert all(f"| `{name}` |" in page for name in owner.__struct_fields__)


def test_field_without_a_meaning_is_refused() -> None:
    """A Struct whose field says nowhere what it means cannot be documented."""

    class Silent(msgspec.Struct):
        word: int

    with pytest.raises(TypeError, match="word says nowhere what it means"):
        document._struct_table(Silent)


def test_documented_decoder_reads_the_golden_record() -> None:
    """The decoder of the page, as it is printed there, gives the rows of the real one."""
    code = document.render().split("```python\n")[1].split("```")[0]
    scope: dict[str, object] = {}
    exec(code, scope)  # noqa: S102 - the page's own example
    value = batch.encode(example.batch())
    found = scope["batch"]
    assert callable(found)
    assert found(msgspec.msgpack.decode(value)) == expected(value)


@given(st.integers(0, 2**32 - 1))
def test_documented_decoder_reads_any_traffic(seed: int) -> None:
    """The decoder of the page gives the rows of the real one for made-up traffic."""
    for _, value in Fleet(shards=2, connections=2, seed=seed).talk(5):
        assert decoder.batch(msgspec.msgpack.decode(value)) == expected(value)


def test_documented_decoder_knows_every_field() -> None:
    """The lists that the page's decoder carries are those of the Structs."""
    names = {kind.name.lower(): [c.name for c in columns_of(STRUCTS[kind])] for kind in Kind}
    assert names == decoder.FIELDS
