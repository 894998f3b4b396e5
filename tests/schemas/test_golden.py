# SPDX-License-Identifier: Apache-2.0
"""Bytes that were written once can be read for ever: golden files, one a version, never rewritten."""

from pathlib import Path

import msgspec
import pytest

from schemas import batch, control, example, order

GOLDEN = Path(__file__).parent / "golden"


BATCHES = ("events-v1", "events-v1-lives")
"""The first is from before connects, closes and retransmits."""
NEWEST = GOLDEN / "events-v1-lives.bin"


def readable(found: batch.EventBatch) -> dict[str, object]:
    """Return the batch's head and its rows the way the golden ``.json`` files spell them."""
    rows = [msgspec.to_builtins(row) for row in batch.rows(found)]
    head = msgspec.structs.asdict(found)
    kept = {name: value for name, value in head.items() if name not in batch.SECTIONS.values()}
    kept["flows"] = [_flow(one) for one in found.flows]
    kept["processes"] = [msgspec.structs.asdict(one) for one in found.processes]
    return kept | {"rows": rows}


def _flow(flow: batch.Flow) -> dict[str, object]:
    fields = msgspec.structs.asdict(flow)
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}


def _within(written: object, found: object) -> bool:
    """Say whether all that was written down was found; fields added since have their defaults."""
    if isinstance(written, dict) and isinstance(found, dict):
        return all(name in found and _within(value, found[name]) for name, value in written.items())
    if isinstance(written, list) and isinstance(found, list):
        return len(written) == len(found) and all(map(_within, written, found))
    return written == found


@pytest.mark.parametrize("name", BATCHES)
def test_golden_batch_is_read_as_it_was_meant(name: str) -> None:
    """A committed batch decodes to the head, dictionaries and rows written down beside it."""
    found = readable(batch.decode((GOLDEN / f"{name}.bin").read_bytes()))
    written = msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes())
    assert _within(written, found), found


def test_fields_that_a_record_does_not_have_yet_are_at_their_defaults() -> None:
    """A record from before sampling and labels of openers is one without them."""
    found = batch.decode((GOLDEN / "events-v1.bin").read_bytes())
    assert (found.connection_rate, found.block_rate, found.closes.events) == (65_536, 65_536, 0)
    assert {(flow.opener, flow.marks) for flow in found.flows} == {(0, 0)}


def test_golden_batch_is_written_byte_by_byte() -> None:
    """The example still packs to the bytes that were committed."""
    assert batch.encode(example.batch()) == NEWEST.read_bytes()


def before_hosts() -> control.Heartbeat:
    """The example as it was before heartbeats told of settings, kernel and spool."""
    names = ("config", "kernel", "backend", "spool_records", "spool_bytes", "spool_oldest_ns", "left")
    return without(*names, "readings")


def without(*names: str) -> control.Heartbeat:
    """The example with these fields at their defaults."""
    fields = {one.name: one.default for one in msgspec.structs.fields(control.Heartbeat)}
    return msgspec.structs.replace(example.heartbeat(), **{name: fields[name] for name in names})


def test_golden_heartbeats_are_read_and_written() -> None:
    """All committed heartbeats decode to the example, older ones without the fields that they do not have."""
    for name in ("heartbeat-v1", "heartbeat-v1-rates"):
        assert control.decode((GOLDEN / f"{name}.json").read_bytes()) == before_hosts()
    assert control.decode((GOLDEN / "heartbeat-v1-hosts.json").read_bytes()) == without("readings")
    newest = (GOLDEN / "heartbeat-v1-clocks.json").read_bytes()
    assert control.decode(newest) == example.heartbeat()
    assert control.encode(example.heartbeat()) == newest


@pytest.mark.parametrize("extra", [b"\xc0", b"\x93\x01\x02\x03", b"\xcb" + bytes(8)])
def test_fields_of_a_later_minor_version_are_ignored(extra: bytes) -> None:
    """A batch with one more field at its end decodes as if the field were not there."""
    value = NEWEST.read_bytes()
    fields = value[2]
    assert value[:2] == b"\xdc\x00", "an array of more than 15 fields"
    longer = b"\xdc\x00" + bytes([fields + 1]) + value[3:] + extra
    assert batch.decode(longer) == example.batch()


def test_unknown_keys_of_a_heartbeat_are_ignored() -> None:
    """A heartbeat with a key that this version does not know decodes as before."""
    fields = msgspec.json.decode((GOLDEN / "heartbeat-v1.json").read_bytes()) | {"later": {"a": [1]}}
    assert control.decode(msgspec.json.encode(fields)) == before_hosts()


def test_golden_order_is_read_and_written() -> None:
    """The committed order decodes to the example, which is written to the same bytes."""
    value = (GOLDEN / "order-v1.json").read_bytes()
    assert order.decode(value) == example.order()
    assert order.encode(example.order()) == value
