# SPDX-License-Identifier: Apache-2.0
"""What must be there, what should be, and what to do about it: one function a matter."""

import os
import platform
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from agent.doctor.host import Host, clock_sync, locked_memory_limit
from agent.kernel import hooks, layout, privileges, probes, source, testrun
from agent.kernel.btf import Btf
from agent.kernel.errors import KernelUnfitError
from agent.live import article

State = Literal["ok", "note", "bad"]
KIB = 1024
PAGE_BYTES = 4096
IPC_LOCK, SYS_ADMIN = 14, 21
SLOW_CLOCKS = {"hpet", "acpi_pm", "jiffies", "pit"}


class Check(msgspec.Struct, frozen=True):
    """One matter. ``bad`` means that the agent cannot run; ``note`` that it can, with what is said."""

    name: str
    state: State
    found: str
    remedy: str = ""


class Examined(msgspec.Struct, frozen=True):
    """All that was looked at, and what of it the figures rest on."""

    checks: list[Check]
    missing_hooks: list[str]
    """Tracepoints that are not there; all of them where there is no BTF."""

    @property
    def fit(self) -> bool:
        """Whether the agent can run."""
        return all(check.state != "bad" for check in self.checks)


def examine(host: Host, load_btf: Callable[[Host], Btf], ring_pages: int) -> Examined:
    """Look at everything; reads only."""
    checks = [_kernel(host), *_types(host, load_btf)]
    missing = list(hooks.RAW_PLACES)
    try:
        types = load_btf(host)
    except KernelUnfitError:
        pass
    else:
        missing = hooks.unseen(types)
        checks.append(_hooks(host, types))
    checks += [_article(host), _capabilities(host), *_perf(host, ring_pages), _lockdown(host), _bcc(host)]
    checks += [_headers(host), _bpf_folder(host), _statistics(host), _clock_source(host), _clock_sync(host)]
    return Examined(checks, missing)


def _kernel(host: Host) -> Check:
    release = host.text("proc/sys/kernel/osrelease") or platform.release()
    found = f"Linux {release}, {platform.machine()}"
    if testrun.supported():
        return Check("kernel", "ok", found)
    return Check("kernel", "bad", f"{found}: not supported", "use x86-64 or arm64")


def _types(host: Host, load_btf: Callable[[Host], Btf]) -> Iterator[Check]:
    try:
        types = load_btf(host)
    except KernelUnfitError as error:
        yield _refused("btf", error)
        return
    yield Check("btf", "ok", f"/{host.btf.relative_to(host.root)}")
    try:
        fields = layout.macros(types)
    except KernelUnfitError as error:
        yield _refused("fields", error)
    else:
        yield Check("fields", "ok", f"{len(fields)} offsets and sizes found")


def _hooks(host: Host, types: Btf) -> Check:
    try:
        chosen = probes.choose(types, "auto", {}, host.tracefs)
    except KernelUnfitError as error:
        return _refused("hooks", error)
    return Check("hooks", "ok", hooks.describe(chosen))


def _article(host: Host) -> Check:
    ways = article.offers(host.sysfs)
    if ways:
        return Check("article's hook", "ok", f"{article.FUNCTION} by {ways[0]}")
    return Check(
        "article's hook", "note", f"{article.FUNCTION}: not offered", "only trace --as-article needs it"
    )


def _capabilities(host: Host) -> Check:
    held = host.capabilities()
    lacking = privileges.missing(held)
    names = [name for name, bit in privileges.NEEDED.items() if held >> bit & 1]
    names += ["CAP_SYS_ADMIN"] if held >> SYS_ADMIN & 1 else []
    found = f"held: {', '.join(names) or 'none of those needed'}"
    if lacking:
        lack = " and ".join(lacking)
        return Check("capabilities", "bad", f"{found}; missing: {lack}", "run as root, or grant them")
    return Check("capabilities", "ok", found)


def _perf(host: Host, ring_pages: int) -> Iterator[Check]:
    """A ring a CPU is locked memory: perf_event_mlock_kb a CPU is free, the rest is within RLIMIT_MEMLOCK."""
    cpus = os.cpu_count() or 1
    needed = (ring_pages + 1) * PAGE_BYTES // KIB * cpus
    free = (host.number("proc/sys/kernel/perf_event_mlock_kb") or 0) * cpus
    limit = locked_memory_limit()
    said = "no limit" if limit is None else f"{limit // KIB} KiB"
    found = f"rings of {needed} KiB; perf_event_mlock_kb allows {free} KiB, RLIMIT_MEMLOCK {said}"
    paranoid = host.number("proc/sys/kernel/perf_event_paranoid")
    refused = host.ring_refused()
    if refused:
        yield _refused("perf events", KernelUnfitError(refused))
    exempt = host.capabilities() >> IPC_LOCK & 1 or paranoid == -1
    if exempt or limit is None or needed <= free + limit // KIB:
        yield Check("perf buffer", "ok", found)
    else:
        remedy = "LimitMEMLOCK=infinity, a larger kernel.perf_event_mlock_kb, or fewer capture.ring-pages"
        yield Check("perf buffer", "bad", found, remedy)


def _lockdown(host: Host) -> Check:
    text = host.text("sys/kernel/security/lockdown")
    if text is None:
        return Check("lockdown", "ok", "not told here (securityfs is not there)")
    if privileges.confidential(text):
        return _refused("lockdown", KernelUnfitError(privileges.CONFIDENTIAL))
    return Check("lockdown", "ok", text.partition("[")[2].partition("]")[0] or text)


def _bcc(_host: Host) -> Check:
    from agent.kernel.loader import import_bcc  # noqa: PLC0415 - 70 MB of compiler, only where it is looked at

    try:
        version = getattr(import_bcc(), "__version__", "of unknown version")
    except KernelUnfitError as error:
        return _refused("bcc", error)
    return Check("bcc", "ok", f"BCC {version}")


def _headers(host: Host) -> Check:
    release = host.text("proc/sys/kernel/osrelease") or platform.release()
    there = "there" if host.exists(f"lib/modules/{release}/build") else "not there"
    if not source.STUBS.is_dir():
        return Check("headers", "bad", f"the stubs are missing: {source.STUBS}", "install wirelag again")
    return Check("headers", "ok", f"not needed: BCC compiles against own stubs (the kernel's are {there})")


def _bpf_folder(host: Host) -> Check:
    if host.file_system("/sys/fs/bpf") == "bpf":
        return Check("/sys/fs/bpf", "ok", "mounted; not used, nothing is pinned")
    return Check("/sys/fs/bpf", "ok", "not mounted; not needed, nothing is pinned")


def _statistics(host: Host) -> Check:
    if host.number("proc/sys/kernel/bpf_stats_enabled") == 1:
        return Check("bpf statistics", "ok", "on: status tells us/event")
    return Check(
        "bpf statistics", "note", "off: us/event is not measured", "sysctl kernel.bpf_stats_enabled=1"
    )


def _clock_source(host: Host) -> Check:
    name = host.text("sys/devices/system/clocksource/clocksource0/current_clocksource")
    if name is None:
        return Check("clock source", "note", "not told here")
    if name in SLOW_CLOCKS:
        return Check("clock source", "note", f"{name}: each reading costs about 1 us", "use tsc or kvm-clock")
    return Check("clock source", "ok", name)


def _clock_sync(host: Host) -> Check:
    daemon = next((name for name, path in DAEMONS.items() if host.exists(path)), "no known daemon seen")
    told = clock_sync()
    if told is None:
        return Check("clock sync", "note", f"the kernel does not say; {daemon}")
    if told.synchronised:
        return Check("clock sync", "ok", f"synchronised within {told.max_error_us} us; {daemon}")
    found = f"the kernel's clock is not synchronised; {daemon}"
    return Check("clock sync", "note", found, "run chrony; only latencies between hosts need it")


DAEMONS = {
    "chrony": "run/chrony/chronyd.pid",
    "systemd-timesyncd": "run/systemd/timesync/synchronized",
    "ntpd": "run/ntpd.pid",
}


def _refused(name: str, error: KernelUnfitError) -> Check:
    found, _, remedy = str(error).rpartition(": ")
    return Check(name, "bad", found or str(error), remedy if found else "")
