# SPDX-License-Identifier: Apache-2.0
"""On a host that lacks something, a command ends with one line that names it and the remedy, and with exit 2.

Every lack is real for the process that meets it: it is started without rights, or in a mount namespace of its
own in which a file of the kernel is another.
"""

import shlex

import pytest

from agent.kernel import btf
from support.captured import LEAST_RIGHTS
from support.live import run

pytestmark = pytest.mark.kernel

NOBODY = LEAST_RIGHTS[:4]


def _only(capability):
    return (*NOBODY, *(part.replace("+bpf,+perfmon", f"+{capability}") for part in LEAST_RIGHTS[4:]))


def _mounted(file, place):
    """Run a program where ``file`` (a folder, then empty) lies over a place of the kernel's."""
    over = f"mount --bind {shlex.quote(str(file))} {place}"
    return ("unshare", "--mount", "sh", "-c", f'{over} && exec "$@"', "sh")


def _ends_well(said, *wanted):
    assert said.code == 2
    *from_libraries, last = said.errors.splitlines()
    assert last.startswith("wirelag-agent: ")
    assert from_libraries in ([], ["mmap: Operation not permitted"])
    for one in wanted:
        assert one in last


@pytest.mark.parametrize("command", [("count", "--times", "1"), ("trace",), ("check", "--offline")])
@pytest.mark.parametrize(
    ("prefix", "lacking"),
    [
        (NOBODY, "CAP_PERFMON and CAP_BPF"),
        (_only("bpf"), "CAP_PERFMON"),
        (_only("perfmon"), "CAP_BPF"),
    ],
    ids=["none", "no-perfmon", "no-bpf"],
)
def test_missing_rights(prefix, lacking, command):
    _ends_well(run(*command, prefix=prefix), f"needs {lacking}: run as root, or grant")


def test_no_btf(tmp_path):
    said = run("trace", prefix=_mounted(tmp_path, "/sys/kernel/btf"))
    _ends_well(
        said, "the kernel has no BTF (/sys/kernel/btf/vmlinux: No such file", "CONFIG_DEBUG_INFO_BTF=y"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            b"\0write_seq\0",
            b"\0write_sea\0",
            "BTF has no tcp_sock.write_seq: it cannot be traced by this version",
        ),
        (b"\0skc_rcv_saddr\0", b"\0skc_rcv_saddx\0", "BTF has no sock.__sk_common.skc_rcv_saddr"),
        (
            b"\0btf_trace_inet_sock_set_state\0",
            b"\0btf_trace_inet_sock_set_stale\0",
            "no tracepoint inet_sock_set_state",
        ),
        (None, b"not BTF", "not little-endian BTF"),
    ],
    ids=["field", "nested-field", "hook", "format"],
)
def test_btf_of_another_kernel(tmp_path, old, new, message):
    """The running kernel's own description, with one name that this version does not know."""
    data = btf.VMLINUX.read_bytes()
    assert old is None or old in data
    altered = tmp_path / "vmlinux"
    altered.write_bytes(new if old is None else data.replace(old, new))
    _ends_well(run("trace", prefix=_mounted(altered, "/sys/kernel/btf/vmlinux")), message)


def test_lockdown(tmp_path):
    (tmp_path / "lockdown").write_text("none integrity [confidentiality]\n")
    said = run("trace", prefix=_mounted(tmp_path, "/sys/kernel/security"))
    _ends_well(said, "lockdown is confidentiality", "boot with lockdown=integrity")


@pytest.mark.parametrize(
    ("text", "message"),
    [("raise ImportError('none here')", "BCC cannot be used (none here)"), ("", "is an unrelated one")],
    ids=["missing", "unrelated"],
)
def test_no_bcc(tmp_path, text, message):
    (tmp_path / "bcc.py").write_text(text)
    said = run("trace", prefix=("env", f"PYTHONPATH={tmp_path}"))
    _ends_well(said, message, "apt install python3-bpfcc")


def test_rings_beyond_what_may_be_locked():
    limited = (*LEAST_RIGHTS, "prlimit", "--memlock=65536:65536")
    said = run("trace", "--set", "capture.ring-pages=4096", prefix=limited)
    _ends_well(said, "no ring of 4096 pages on CPU 0", "fewer capture.ring-pages", "CAP_IPC_LOCK")


def test_another_processor():
    _ends_well(run("trace", prefix=("setarch", "i686")), "architecture is not supported: use x86-64 or arm64")
