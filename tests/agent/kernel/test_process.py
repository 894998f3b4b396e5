# SPDX-License-Identifier: Apache-2.0
"""What the agent knows of its own process: where it listens, and which memory it can do without."""

import socket
from pathlib import Path

from agent.kernel.memory import clean_mappings
from agent.kernel.own import listening_keys

SMAPS = """\
7f00-7f10 r-xp 00000000 fe:00 1234                       /usr/lib/libLLVM-14.so.1
Size:                 64 kB
Anonymous:             0 kB
7f10-7f20 r--p 00010000 fe:00 1234                       /usr/lib/libLLVM-14.so.1
Anonymous:            16 kB
7f20-7f30 rw-p 00010000 fe:00 1234                       /usr/lib/libLLVM-14.so.1
Anonymous:             0 kB
7f30-7f40 r--p 00000000 fe:00 77                         /usr/lib/libclang-cpp.so.14
Anonymous:             0 kB
7f40-7f50 r-xp 00000000 fe:00 78                         /usr/lib/libc.so.6
Anonymous:             0 kB
7f50-7f60 rw-p 00000000 00:00 0
Anonymous:             0 kB
"""


def test_only_the_compilers_untouched_pages_are_given_back():
    assert list(clean_mappings(SMAPS)) == [(0x7F00, 0x7F10), (0x7F30, 0x7F40)]


def test_ports_this_process_listens_on_are_known_with_their_namespace():
    namespace = Path("/proc/self/ns/net").stat().st_ino
    with socket.create_server(("127.0.0.1", 0)) as four, socket.socket() as idle:
        idle.bind(("127.0.0.1", 0))
        keys = listening_keys()
        assert namespace << 16 | four.getsockname()[1] in keys
        assert namespace << 16 | idle.getsockname()[1] not in keys


def test_ports_of_other_processes_are_not_taken_for_own(tmp_path):
    """The tables name all sockets of the namespace; the descriptors say which are ours."""
    (tmp_path / "fd").mkdir()
    (tmp_path / "ns").mkdir()
    (tmp_path / "net").mkdir()
    (tmp_path / "fd" / "3").symlink_to("socket:[111]")
    (tmp_path / "ns" / "net").touch()
    row = "{}: 0100007F:{} 00000000:0000 0A 0:0 0:0 0 0 0 {} 1"
    rows = ["head", row.format(0, "1F90", 111), row.format(1, "0050", 222)]
    (tmp_path / "net" / "tcp").write_text("\n".join(rows))
    inode = (tmp_path / "ns" / "net").stat().st_ino
    assert listening_keys(tmp_path) == [inode << 16 | 8080]
