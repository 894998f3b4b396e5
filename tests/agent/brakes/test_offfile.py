# SPDX-License-Identifier: Apache-2.0
"""A file that is there stops, whatever it is; one that is not does not."""

import os

import pytest

from agent.brakes.offfile import reason


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", ""),
        (b"incident 7\nmore", "incident 7"),
        (b"  padded \n", "padded"),
        (b"\x1b[2J\xff", "?[2J\ufffd"),
        (b"x" * 5000, "x" * 200),
    ],
)
def test_the_first_line_says_why(tmp_path, content, why):
    (tmp_path / "off").write_bytes(content)
    assert reason(tmp_path / "off") == why


def test_no_file_is_no_reason(tmp_path):
    assert reason(tmp_path / "off") is None
    (tmp_path / "file").touch()
    assert reason(tmp_path / "file" / "off") is None


def test_what_cannot_be_read_counts(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert [reason(tmp_path / name) for name in ("folder", "dangling", "pipe")] == ["", "", ""]
