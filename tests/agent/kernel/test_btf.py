# SPDX-License-Identifier: Apache-2.0
"""Type information is read as the kernel's format says: from a hand-made piece of it."""

import struct

import pytest

from agent.kernel.btf import Btf, Field, load
from agent.kernel.errors import KernelUnfitError

INT, POINTER, ARRAY, STRUCT, UNION, TYPEDEF, CONST, FUNCTION, PROTOTYPE = 1, 2, 3, 4, 5, 8, 10, 12, 13


class Maker:
    """Writes BTF type by type."""

    def __init__(self):
        self.text, self.types, self.count = b"\0", b"", 0

    def name(self, text):
        at = len(self.text)
        self.text += text.encode() + b"\0"
        return at

    def add(self, kind, name, size_or_type, *words, members=0, flag=0):
        head = (self.name(name) if name else 0, flag << 31 | kind << 24 | members, size_or_type)
        self.types += struct.pack(f"<{3 + len(words)}I", *head, *words)
        self.count += 1
        return self.count

    def record(self, kind, name, size, members, *, flag=0):
        words = [word for text, type_, at in members for word in (self.name(text) if text else 0, type_, at)]
        return self.add(kind, name, size, *words, members=len(members), flag=flag)

    def bytes(self):
        head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.text))
        return head + self.types + self.text


@pytest.fixture(scope="module")
def btf():
    make = Maker()
    u32 = make.add(INT, "u32", 4, 32)
    u8 = make.add(INT, "u8", 1, 8)
    pointer = make.add(POINTER, "", 0)
    array = make.add(ARRAY, "", 0, u8, u32, 16)
    inner = make.record(STRUCT, "", 8, [("low", u32, 0), ("high", u32, 32)])
    either = make.record(UNION, "", 8, [("whole", pointer, 0), ("", inner, 0)])
    base = make.record(STRUCT, "base", 24, [("first", u32, 0), ("", either, 64), ("name", array, 128)])
    alias = make.add(TYPEDEF, "base_t", base)
    fixed = make.add(CONST, "", alias)
    bits = [("plain", u32, 0), ("two", u8, 2 << 24 | 35), ("b", fixed, 64)]
    make.record(STRUCT, "outer", 32, bits, flag=1)
    make.add(TYPEDEF, "btf_trace_sk_data_ready", pointer)
    prototype = make.add(PROTOTYPE, "", u32, make.name("sk"), pointer, make.name("flags"), u32, members=2)
    make.add(FUNCTION, "tcp_recvmsg", prototype)
    return Btf(make.bytes())


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("base.first", Field(0, 4, 0)),
        ("base.whole", Field(8, 8, 0)),
        ("base.high", Field(12, 4, 0)),
        ("base.name", Field(16, 16, 0)),
        ("outer.plain", Field(0, 4, 0)),
        ("outer.two", Field(4, 1, 0b11000)),
        ("outer.b.high", Field(20, 4, 0)),
    ],
)
def test_members_are_found_through_anonymous_parts_and_modifiers(btf, path, field):
    assert btf.field(path) == field


@pytest.mark.parametrize("path", ["nothing.first", "base.nothing", "base.first.deeper"])
def test_what_is_not_there_is_named(btf, path):
    with pytest.raises(KernelUnfitError, match=path):
        btf.field(path)


def test_tracepoints_are_known_by_their_typedef(btf):
    assert btf.has_tracepoint("sk_data_ready")
    assert not btf.has_tracepoint("sock_send_length")


def test_parameters_of_a_function_are_named_in_order(btf):
    assert btf.parameters("tcp_recvmsg") == ("sk", "flags")
    assert btf.parameters("tcp_sendpage") is None


def test_what_is_not_btf_is_refused():
    with pytest.raises(KernelUnfitError, match="not little-endian BTF"):
        Btf(bytes(100))


def test_a_kernel_without_btf_is_told_so_with_the_remedy(tmp_path):
    with pytest.raises(KernelUnfitError, match="CONFIG_DEBUG_INFO_BTF"):
        load(tmp_path / "vmlinux")
