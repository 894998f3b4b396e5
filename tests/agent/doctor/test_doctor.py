# SPDX-License-Identifier: Apache-2.0
"""`wirelag-agent doctor` names what a host lacks, and what that costs; it loads nothing unless told to."""

import json
import os

import pytest

from agent.commands.doctor import diagnose
from agent.doctor import checks
from agent.doctor.host import Host, clock_sync
from agent.doctor.measures import KINDS, measures
from agent.kernel import btf, hooks
from agent.kernel.capture import Capture
from agent.settings import AgentSettings
from support.house import ROOT
from support.live import run

HELD = "CapEff:\t000001ffffffffff"


@pytest.fixture
def root(tmp_path):
    """A host that has all but BTF."""
    for path, text in {
        "proc/self/status": HELD,
        "proc/self/mounts": "bpf /sys/fs/bpf bpf rw 0 0",
        "proc/sys/kernel/osrelease": "6.18.0-test",
        "proc/sys/kernel/perf_event_mlock_kb": "516",
        "proc/sys/kernel/perf_event_paranoid": "2",
        "proc/sys/kernel/bpf_stats_enabled": "0",
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
        "sys/kernel/security/lockdown": "none [integrity] confidentiality",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text + "\n")
    return tmp_path


class Kernel:
    """BTF that lists all hooks but some; its fields are those of the running kernel."""

    def __init__(self, *missing):
        self._missing = missing
        self._real = btf.load()
        self.field = self._real.field

    def has_tracepoint(self, name):
        return name not in self._missing

    def parameters(self, function):
        return None


def put(root, path, text):
    (root / path).write_text(text)


def examine(root, *missing, ring_pages=8):
    examined = checks.examine(Host(root), lambda _host: Kernel(*missing), ring_pages)
    return examined, {check.name: check for check in examined.checks}


def test_a_host_with_everything_is_fit(root):
    examined, found = examine(root)
    assert examined.fit
    assert {check.state for check in examined.checks} <= {"ok", "note"}
    assert found["kernel"].found.startswith("Linux 6.18.0-test, ")
    assert found["lockdown"].found == "integrity"
    assert found["/sys/fs/bpf"].found.startswith("mounted")
    assert found["clock source"].found == "tsc"
    assert found["headers"].found.startswith("not needed")


def test_missing_btf_is_bad_and_costs_every_figure(root, capsys):
    assert not diagnose(AgentSettings(), root, load=False, json=True)
    told = json.loads(capsys.readouterr().out)
    found = {check["name"]: check for check in told["checks"]}
    assert found["btf"]["state"] == "bad"
    assert "CONFIG_DEBUG_INFO_BTF" in found["btf"]["found"] + found["btf"]["remedy"]
    assert {one["quality"] for one in told["measures"]} == {"unavailable"}


def test_a_missing_hook_is_named_with_the_figures_it_costs(root):
    examined, found = examine(root, "sk_data_ready")
    assert found["hooks"].state == "bad"
    assert "sk_data_ready" in found["hooks"].found
    kinds = {one.name: one for one in measures(examined, article="no")}
    assert kinds["receive-wait"].why == "no hook sk_data_ready"
    assert "needs all its hooks" in kinds["send-block"].why


@pytest.mark.parametrize(
    ("effective", "lacking"),
    [("0", "CAP_PERFMON and CAP_BPF"), (f"{1 << 39:x}", "CAP_PERFMON"), (f"{1 << 38:x}", "CAP_BPF")],
)
def test_missing_capabilities_are_named(root, effective, lacking):
    put(root, "proc/self/status", f"CapEff:\t{effective}")
    examined, found = examine(root)
    assert not examined.fit
    assert found["capabilities"].found.endswith(f"missing: {lacking}")


def test_capabilities_that_suffice_are_named(root):
    put(root, "proc/self/status", f"CapEff:\t{1 << 38 | 1 << 39:x}")
    assert examine(root)[1]["capabilities"].found == "held: CAP_PERFMON, CAP_BPF"


def test_rings_larger_than_what_may_be_locked_are_bad(root, monkeypatch):
    put(root, "proc/self/status", f"CapEff:\t{1 << 38 | 1 << 39:x}")
    monkeypatch.setattr(checks, "locked_memory_limit", lambda: 64 * 1024)
    check = examine(root, ring_pages=4096)[1]["perf buffer"]
    assert (check.state, "RLIMIT_MEMLOCK 64 KiB" in check.found) == ("bad", True)
    put(root, "proc/sys/kernel/perf_event_paranoid", "-1")
    assert examine(root, ring_pages=4096)[1]["perf buffer"].state == "ok"


@pytest.mark.parametrize(
    ("path", "text", "name", "state"),
    [
        ("sys/kernel/security/lockdown", "none integrity [confidentiality]", "lockdown", "bad"),
        ("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet", "clock source", "note"),
        ("proc/sys/kernel/bpf_stats_enabled", "1", "bpf statistics", "ok"),
    ],
)
def test_other_matters(root, path, text, name, state):
    put(root, path, text)
    assert examine(root)[1][name].state == state


@pytest.mark.parametrize(("path", "daemon"), [(path, name) for name, path in checks.DAEMONS.items()])
def test_the_time_daemon_is_named(root, path, daemon):
    (root / path).parent.mkdir(parents=True)
    (root / path).touch()
    assert examine(root)[1]["clock sync"].found.endswith(daemon)


def test_the_kernel_says_of_its_clock_without_being_set():
    told = clock_sync()
    assert told is not None
    assert told.max_error_us >= 0


def test_every_kind_is_told_once_and_needs_known_hooks(root):
    examined, _ = examine(root)
    names = [one.name for one in measures(examined, article=None)]
    assert len(set(names)) == len(names) == len(KINDS) + 1
    assert {place for kind in KINDS for place in kind.hooks} <= set(hooks.RAW_PLACES)
    qualities = {one.name: one.quality for one in measures(examined, article=None)}
    assert qualities["delivery on this host"] == "exact"
    assert qualities["delivery between hosts"] == "marked"
    assert qualities["server turn"] == "exact"
    assert qualities["article's tcp_time"] == "marked"


def test_nothing_is_loaded_unless_asked(monkeypatch, capsys):
    def started(_self):
        raise AssertionError("it was loaded")

    monkeypatch.setattr(Capture, "start", started)
    diagnose(AgentSettings(), checks.Host().root, load=False, json=False)
    assert "load " not in capsys.readouterr().out


@pytest.mark.kernel
def test_loading_attaches_all_and_leaves_nothing():
    said = run("doctor", "--load", "--json")
    told = json.loads(said.lines[0])
    assert (said.code, told["fit"]) == (0, True)
    assert told["checks"][-1]["name"] == "load"
    assert told["checks"][-1]["found"].startswith(f"{len(hooks.RAW_PLACES)} programs loaded")
    assert {frozenset(check) for check in told["checks"]} == {frozenset({"name", "state", "found", "remedy"})}
    assert {frozenset(one) for one in told["measures"]} == {frozenset({"name", "quality", "why"})}


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("prefix", "lacking"),
    [
        (("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"), "CAP_PERFMON and CAP_BPF"),
        (("setpriv", "--bounding-set=-perfmon,-sys_admin", "--inh-caps=-perfmon"), "CAP_PERFMON"),
        (("setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf"), "CAP_BPF"),
    ],
)
def test_a_process_with_too_few_rights_is_told_so_and_does_not_load(prefix, lacking):
    said = run("doctor", "--load", "--json", prefix=prefix)
    told = json.loads(said.lines[0])
    found = {check["name"]: check for check in told["checks"]}
    assert (said.code, told["fit"]) == (1, False)
    assert found["capabilities"]["found"].endswith(f"missing: {lacking}")
    assert "load" not in found


@pytest.mark.kernel
def test_a_page_for_people():
    said = run("doctor")
    assert (said.code, said.errors) == (0, "")
    assert said.lines[-1] == "fit: this host can be traced"
    assert os.access(ROOT, os.R_OK)
