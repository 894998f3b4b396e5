# SPDX-License-Identifier: Apache-2.0
"""The keys of `top`, how its figures are written, and which processes a filter takes."""

import pytest

from agent.live import show
from agent.live.choice import Choice
from agent.live.keys import Controls
from agent.live.screen import rich_table
from agent.live.top import Line, Table
from agent.settings import CaptureSection
from common.errors import ConfigError
from schemas.batch import Process


def pressed(keys):
    controls = Controls("bytes", "connection")
    for key in keys:
        controls.press(key)
    return controls


@pytest.mark.parametrize(
    ("keys", "sort", "by"),
    [
        ("", "bytes", "connection"),
        ("m", "messages", "connection"),
        ("9p", "p99", "process"),
        ("pc5", "p50", "connection"),
    ],
)
def test_keys_sort_and_group(keys, sort, by):
    controls = pressed(keys)
    assert (controls.sort, controls.by, controls.ended) == (sort, by, False)


def test_q_ends():
    assert pressed("q").ended


def test_a_filter_is_typed_and_its_letters_are_no_keys():
    controls = pressed("/qmx\x7f\n")
    assert (controls.text, controls.typing, controls.sort, controls.ended) == ("qm", False, "bytes", False)


def test_escape_drops_the_filter():
    assert pressed("/abc\x1b").text == ""


def test_the_table_on_a_terminal_names_the_keys_or_the_filter_being_typed():
    line = Line(pid=1, name="a\x1b[2J", local="l", remote="r", role=None, sent_bytes=1, received_bytes=2,
                messages=3, reads=4, delivered=0, delivery_p50_ns=None, delivery_p99_ns=None,
                wait_p50_ns=None, wait_p99_ns=None, rtt_us=5, retransmitted_bytes=6)  # fmt: skip
    table = Table(
        time_ns=0, seconds=2, by="connection", sort="bytes", shown=1, total=1, left_out=0, rows=[line]
    )
    assert "sort: b bytes" in str(rich_table(table, pressed("")).caption)
    assert "filter: ab_" in str(rich_table(table, pressed("/ab")).caption)
    assert "only rows with 'ab'" in str(rich_table(table, pressed("/ab\n")).caption)
    assert "\x1b" not in line.who


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(None, "-"), (0, "0ns"), (999, "999ns"), (1000, "1.0us"), (38_400, "38us"), (999_700, "1.0ms"),
     (12_300_000, "12ms"), (3_400_000_000, "3.4s"), (-1500, "-1.5us")],
)  # fmt: skip
def test_durations(nanoseconds, text):
    assert show.duration(nanoseconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0B"), (999, "999B"), (1200, "1.2kB"), (64_000_000, "64MB")])
def test_sizes(count, text):
    assert show.size(count) == text


def test_addresses_are_as_one_writes_them():
    mapped = bytes(10) + b"\xff\xff\x0a\x00\x00\x01"
    assert show.endpoint(mapped, 80) == "10.0.0.1:80"
    assert show.endpoint(bytes.fromhex("fd99") + bytes(13) + b"\x01", 443) == "[fd99::1]:443"


def test_processes_are_chosen_by_number_and_name():
    one = Process(7, "app")
    assert Choice().wants(one)
    assert Choice().wants(None)
    assert Choice(pids=(7,), names=("app",)).wants(one)
    assert not Choice(pids=(8,)).wants(one)
    assert not Choice(names=("ap",)).wants(one)
    assert not Choice(pids=(7,)).wants(None)


def test_what_the_kernel_filters_goes_over_the_settings():
    section = CaptureSection(ports=(1, 2), exclude_ports=(9092,))
    found = Choice(ports=(80,), cgroups=("77",)).capture(section, lives=True)
    assert (found.ports, found.exclude_ports, found.lives) == ((80,), (9092,), True)
    assert found.cgroups == (77,)
    assert Choice().capture(section).ports == (1, 2)
    with pytest.raises(ConfigError, match=r"capture\.cgroups"):
        Choice(cgroups=("/nowhere",)).capture(section)
