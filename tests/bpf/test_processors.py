# SPDX-License-Identifier: Apache-2.0
"""The programs compile for each processor that is supported, and read the registers its calls are made by."""

import struct

import pytest

from agent.kernel import btf, hooks, layout, source
from agent.kernel.errors import KernelUnfitError
from agent.kernel.loader import Program

pytestmark = pytest.mark.kernel

LOAD_WORDS = {0x79, 0x61}
"""Opcodes of loads of 8 and 4 bytes."""
REGISTERS = {"x86": {112, 88}, "arm64": {0, 24}}
"""Offsets in struct pt_regs of the first and fourth argument of a call."""


@pytest.fixture
def compiled(monkeypatch):
    """Return a function that compiles all programs for a processor, named as the kernel's build does."""
    programs = []

    def compile_for(processor):
        monkeypatch.setenv("ARCH", processor)
        types = btf.load()
        macros = layout.macros(types) | hooks.macros(types) | {"BATCH": 128, "CONNECTIONS": 64}
        macros["PREEMPTIBLE"] = 1
        text = source.text({"raw", "fentry", "kprobe"})
        programs.append(Program(text, source.flags(macros), source.STUBS))
        return programs[-1]

    yield compile_for
    for program in programs:
        program.close()


@pytest.mark.parametrize("processor", REGISTERS)
def test_arguments_are_read_from_the_processors_registers(compiled, processor):
    assert btf.load().parameters("tcp_recvmsg")[:4] == ("sk", "msg", "len", "flags")
    code = compiled(processor)._bpf.dump_func(b"kprobe_tcp_recvmsg")
    read = {offset for opcode, _, offset, _ in struct.iter_unpack("=BBhi", code) if opcode in LOAD_WORDS}
    assert REGISTERS[processor] <= read
    others = [offsets for name, offsets in REGISTERS.items() if name != processor]
    assert not any(offsets <= read for offsets in others)


def test_another_processor_is_refused(compiled):
    with pytest.raises(KernelUnfitError, match="cannot compile"):
        compiled("powerpc")
