# SPDX-License-Identifier: Apache-2.0
"""The structs of bpf/ and their mirrors in Python are the same bytes, by the C compiler's own word."""

import re

import pytest

from agent import decode
from agent.kernel import counters, source
from agent.kernel.capture import CaptureSettings
from agent.kernel.loader import Program
from agent.kernel.settings import (
    FILTER_CGROUPS,
    FILTER_EXCLUDED_PORTS,
    FILTER_NETNS,
    FILTER_PORTS,
    TELL_LIVES,
)
from schemas.batch import Mark
from schemas.event import Flag, Kind

pytestmark = pytest.mark.kernel

MIRRORS = {
    "record": decode.RECORD_DTYPE,
    "event": decode.EVENT_DTYPE,
    "connection_fact": decode.CONNECTION_DTYPE,
    "task_fact": decode.TASK_DTYPE,
    "totals_fact": decode.TOTALS_DTYPE,
}


def _defines(prefix):
    text = (source.FOLDER / "event.h").read_text() + (source.FOLDER / "state.h").read_text()
    found = re.findall(rf"^#define {prefix}_(\w+)\s+(\(1 << (\d+)\)|\d+)", text, re.MULTILINE)
    return {name: 1 << int(shift) if shift else int(value) for name, value, shift in found}


def _assertions():
    for struct, dtype in MIRRORS.items():
        yield f"sizeof(struct {struct}) == {dtype.itemsize}"
        for name in dtype.names:
            yield f"__builtin_offsetof(struct {struct}, {name}) == {dtype.fields[name][1]}"
            yield f"sizeof(((struct {struct} *)0)->{name}) == {dtype.fields[name][0].itemsize}"
    for name in counters.HEAD_DTYPE.names:
        yield f"__builtin_offsetof(struct hook, {name}) == {counters.HEAD_DTYPE.fields[name][1]}"
    yield "__builtin_offsetof(struct hook, block) == sizeof(struct stream) * 2 + 56"
    yield "sizeof(struct hook) <= 32768"


def _compile(*assertions):
    text = '#define BLOCK_SIZE 8\n#define BATCH 256\n#include <linux/types.h>\n#include "state.h"\n'
    lines = [f'_Static_assert({one}, "{one}");' for one in assertions]
    Program(text + "\n".join(lines), source.flags({}), source.STUBS).close()


def test_every_offset_and_size_is_the_same_in_c():
    _compile(*_assertions())


def test_a_wrong_offset_would_be_noticed():
    with pytest.raises(Exception, match="compile"):
        _compile("__builtin_offsetof(struct event, sock) == 8")


def test_flags_and_kinds_have_the_same_numbers_everywhere():
    flags = _defines("FLAG")
    assert {flag.name: flag.value for flag in Flag}.items() <= flags.items()
    kinds = _defines("KIND")
    assert {kind.name: kind.value for kind in Kind}.items() <= kinds.items()
    ours = (decode.KIND_CONNECTION, decode.KIND_TASK, decode.KIND_TOTALS)
    assert (kinds["CONNECTION"], kinds["TASK"], kinds["TOTALS"]) == ours
    assert _defines("TELL")["LIVES"] == TELL_LIVES


def test_connection_flags_have_the_same_numbers():
    ours = {flag.name: flag.value for flag in Mark}
    theirs = _defines("CONNECTION")
    assert theirs == ours


def test_hooks_streams_filters_and_version_have_the_same_numbers():
    hooks = _defines("HOOK")
    assert tuple(sorted(hooks, key=hooks.__getitem__)) == tuple(name.upper() for name in counters.HOOK_NAMES)
    assert _defines("STREAM")["FACTS"] == decode.STREAM_FACTS
    assert _defines("RECORD")["VERSION"] == decode.RECORD_VERSION
    assert _defines("FILTER") == {
        "PORTS": FILTER_PORTS,
        "NETNS": FILTER_NETNS,
        "CGROUPS": FILTER_CGROUPS,
        "EXCLUDED_PORTS": FILTER_EXCLUDED_PORTS,
    }


def test_no_settings_of_a_user_become_program_text():
    assert CaptureSettings(ports=(4242,)).filters == FILTER_PORTS
    assert "4242" not in source.text()
