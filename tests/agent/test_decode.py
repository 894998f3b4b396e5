# SPDX-License-Identifier: Apache-2.0
"""Decoding takes whole records to arrays, and refuses what the programs cannot have written."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decode import (
    CONNECTION_DTYPE,
    EVENT_DTYPE,
    KIND_CONNECTION,
    KIND_TASK,
    KIND_TOTALS,
    RECORD_DTYPE,
    RECORD_VERSION,
    STREAM_FACTS,
    TASK_DTYPE,
    TOTALS_DTYPE,
    MalformedRecordError,
    SequenceCheck,
    decode,
)


def record(slots, *, first=0, cpu=0, stream=0, version=RECORD_VERSION, padding=0):
    head = np.zeros(1, RECORD_DTYPE)
    head[0] = (first, len(slots), cpu, stream, version)
    return head.tobytes() + slots.tobytes() + bytes(padding)


def events(*positions):
    table = np.zeros(len(positions), EVENT_DTYPE)
    table["position"] = positions
    return table


def test_no_records_are_empty_arrays():
    decoded = decode([])
    assert [len(part) for part in decoded] == [0, 0, 0, 0, 0]
    assert decoded.events.dtype == EVENT_DTYPE


def test_events_of_several_records_come_in_their_order():
    decoded = decode([record(events(1, 2)), record(events(3), first=2, cpu=1, padding=4)])
    assert decoded.events["position"].tolist() == [1, 2, 3]
    assert decoded.spans.tolist() == [(0, 0, 0, 2), (1, 0, 2, 1)]


def test_facts_are_told_apart_by_kind():
    connection, task = np.zeros(1, CONNECTION_DTYPE), np.zeros(1, TASK_DTYPE)
    connection["kind"], connection["local_port"] = KIND_CONNECTION, 80
    task["kind"], task["leader_comm"], task["tid"] = KIND_TASK, b"nginx", 7
    close = np.zeros(1, TOTALS_DTYPE)
    close["kind"], close["sent_bytes"] = KIND_TOTALS, 99
    every = np.concatenate([fact.view("V112") for fact in (connection, task, close)])
    decoded = decode([record(every, stream=STREAM_FACTS + 2)])
    assert decoded.connections["local_port"].tolist() == [80]
    assert (decoded.tasks["leader_comm"].tolist(), decoded.tasks["tid"].tolist()) == ([b"nginx"], [7])
    assert decoded.totals["sent_bytes"].tolist() == [99]
    assert len(decoded.events) == 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "record of 0 bytes"),
        (bytes(15), "record of 15 bytes"),
        (record(events(1), version=9), "version 9"),
        (record(events(1))[:-1], "80 expected"),
        (record(events(1), padding=8), "80 expected"),
        (record(np.zeros(1, TASK_DTYPE), stream=STREAM_FACTS), "unknown kind 0"),
    ],
)
def test_a_malformed_record_is_refused_with_what_is_wrong(data, says):
    with pytest.raises(MalformedRecordError, match=says):
        decode([data])


@given(st.binary(max_size=400))
def test_any_bytes_are_decoded_or_refused(data):
    with contextlib.suppress(MalformedRecordError):
        decode([data])


def test_a_hole_in_a_stream_is_the_number_of_missing_slots():
    check = SequenceCheck()
    whole = decode([record(events(1, 2)), record(events(3), first=2)])
    assert check.update(whole.spans) == 0
    assert check.update(decode([record(events(9), first=10)]).spans) == 7
    assert check.update(decode([record(events(1), first=0, cpu=1)]).spans) == 0
