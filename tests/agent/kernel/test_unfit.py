# SPDX-License-Identifier: Apache-2.0
"""A host that cannot be traced is told what is missing and what to do, and nothing is started."""

import builtins
import sys
from types import SimpleNamespace

import pytest

from agent.kernel import layout, loader, privileges
from agent.kernel.capture import Capture, CaptureSettings
from agent.kernel.errors import KernelUnfitError
from common.errors import WirelagError


class OldKernel:
    """BTF that puts all fields far apart."""

    def __init__(self, step):
        self._next, self._step = 0, step

    def field(self, _path):
        self._next += self._step
        return SimpleNamespace(offset=self._next, size=4, mask=0)


def test_fields_too_far_apart_are_refused():
    with pytest.raises(KernelUnfitError, match="spreads over"):
        layout.macros(OldKernel(step=200))


@pytest.mark.parametrize(
    ("capabilities", "lacking"),
    [
        (0, ["CAP_PERFMON", "CAP_BPF"]),
        (1 << 39, ["CAP_PERFMON"]),
        (1 << 38 | 1 << 39, []),
        (1 << 21, []),
    ],
)
def test_capabilities_are_told_by_name(capabilities, lacking):
    assert privileges.missing(capabilities) == lacking


def test_a_process_without_capabilities_is_refused(tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tx\nCapEff:\t0000000000000000\n")
    with pytest.raises(KernelUnfitError, match="CAP_PERFMON and CAP_BPF: run as root"):
        privileges.check(status)


def test_a_missing_bcc_is_told_with_its_package(monkeypatch):
    plain = builtins.__import__

    def without_bcc(name, *rest):
        if name == "bcc":
            raise ImportError("No module named 'bcc'")
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_bcc)
    with pytest.raises(KernelUnfitError, match="apt install python3-bpfcc"):
        loader.import_bcc()


def test_the_unrelated_bcc_is_told_apart(monkeypatch):
    monkeypatch.setitem(sys.modules, "bcc", SimpleNamespace(__file__="/site-packages/bcc.py"))
    with pytest.raises(KernelUnfitError, match="unrelated"):
        loader.import_bcc()


def test_the_error_is_one_the_command_line_catches_as_a_matter_of_configuration():
    assert issubclass(KernelUnfitError, WirelagError)
    assert KernelUnfitError.exit_code == 2


def test_constructing_touches_nothing():
    capture = Capture(CaptureSettings(ports=(80,)))
    assert not capture.running
    with pytest.raises(RuntimeError, match="not running"):
        capture.cycle()


@pytest.mark.parametrize("wrong", [{"batch": 100}, {"batch": 512}, {"ring_pages": 0}, {"ring_pages": 3}])
def test_sizes_that_bpf_would_refuse_are_refused_with_what_is_allowed(wrong):
    with pytest.raises(ValueError, match="power of two"):
        CaptureSettings(**wrong)
