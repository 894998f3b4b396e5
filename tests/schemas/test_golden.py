# SPDX-License-Identifier: Apache-2.0
"""Bytes that were written once can be read for ever: golden files, one a version, never rewritten."""

from pathlib import Path

import msgspec
import pytest

from schemas import batch, control, example

GOLDEN = Path(__file__).parent / "golden"


def readable(found: batch.EventBatch) -> dict[str, object]:
    """Return the batch's head and its rows the way ``events-v1.json`` spells them."""
    rows = [msgspec.to_builtins(row) for row in batch.rows(found)]
    head = msgspec.structs.asdict(found)
    kept = {name: head[name] for name in list(head) if name not in {"sends", "receives", "arrivals"}}
    kept["flows"] = [_flow(one) for one in found.flows]
    kept["processes"] = [msgspec.structs.asdict(one) for one in found.processes]
    return kept | {"rows": rows}


def _flow(flow: batch.Flow) -> dict[str, object]:
    fields = msgspec.structs.asdict(flow)
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}


def test_golden_batch_is_read_as_it_was_meant() -> None:
    """Version 1 of the batch decodes to the head, dictionaries and rows written down beside it."""
    found = batch.decode((GOLDEN / "events-v1.bin").read_bytes())
    assert readable(found) == msgspec.json.decode((GOLDEN / "events-v1.json").read_bytes())


def test_golden_batch_is_written_byte_by_byte() -> None:
    """The example still packs to the bytes that were committed."""
    assert batch.encode(example.batch()) == (GOLDEN / "events-v1.bin").read_bytes()


def test_golden_heartbeat_is_read_and_written() -> None:
    """Version 1 of the heartbeat decodes to the example and is written to the same bytes."""
    value = (GOLDEN / "heartbeat-v1.json").read_bytes()
    assert control.decode(value) == example.heartbeat()
    assert control.encode(example.heartbeat()) == value


@pytest.mark.parametrize("extra", [b"\xc0", b"\x93\x01\x02\x03", b"\xcb" + bytes(8)])
def test_fields_of_a_later_minor_version_are_ignored(extra: bytes) -> None:
    """A batch with one more field at its end decodes as if the field were not there."""
    value = (GOLDEN / "events-v1.bin").read_bytes()
    fields = value[2]
    assert value[:2] == b"\xdc\x00", "an array of more than 15 fields"
    longer = b"\xdc\x00" + bytes([fields + 1]) + value[3:] + extra
    assert batch.decode(longer) == example.batch()


def test_unknown_keys_of_a_heartbeat_are_ignored() -> None:
    """A heartbeat with a key that this version does not know decodes as before."""
    fields = msgspec.json.decode((GOLDEN / "heartbeat-v1.json").read_bytes()) | {"later": {"a": [1]}}
    assert control.decode(msgspec.json.encode(fields)) == example.heartbeat()
