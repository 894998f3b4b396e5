# SPDX-License-Identifier: Apache-2.0
"""The one table of where the programs are attached, and the choice among what a kernel offers.

Pure: what the kernel's BTF lists decides for each hook by itself, never the kernel's version.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from agent.kernel.errors import KernelUnfitError
from agent.kernel.settings import Backend

RAW, FENTRY, KPROBE = "raw", "fentry", "kprobe"
RETURN = ":return"
"""After a function's name: where it returns, else where it begins."""
OPTIONAL = "?"
"""Before a function's name: taken along where the kernel lists it."""

PREFERENCE: Mapping[Backend, tuple[str, ...]] = {
    "auto": (RAW, FENTRY, KPROBE),
    "raw": (RAW,),
    "fentry": (FENTRY, RAW, KPROBE),
    "kprobe": (KPROBE, RAW),
}
"""Order in which the ways of a hook are looked for, by the setting."""

_PREFIXES = {RAW: ("raw_", ""), FENTRY: ("kfunc__", "kretfunc__"), KPROBE: ("kprobe_", "kretprobe_")}
"""Of programs in bpf/ at an entry and at a return."""


class Names(Protocol):
    """What is asked of a kernel's BTF."""

    def has_tracepoint(self, name: str) -> bool:
        """Say whether there is such a tracepoint."""

    def parameters(self, function: str) -> tuple[str, ...] | None:
        """Return the names of a function's parameters, None where there is no such function."""


class Hook(NamedTuple):
    """One place in the kernel and the program that runs there."""

    means: str
    """RAW, FENTRY or KPROBE."""
    place: str
    """Name of the tracepoint or function; ends in RETURN where that is meant."""
    counted: str
    """Name of the hook under which its events are counted."""

    @property
    def program(self) -> str:
        """Function in bpf/."""
        at_entry, at_return = _PREFIXES[self.means]
        return (at_return if self.returns else at_entry) + self.function

    @property
    def function(self) -> str:
        """Name of the tracepoint or function alone."""
        return self.place.removesuffix(RETURN)

    @property
    def returns(self) -> bool:
        """Whether it runs where the function returns."""
        return self.place.endswith(RETURN)


class Job(NamedTuple):
    """One thing to be told, and the ways to see it."""

    reports: str
    counted: str
    ways: Mapping[str, tuple[str, ...]]
    """Places that tell it together, by means."""
    only_with: str = ""
    """Function without which a kernel has no such thing to tell."""


_SEND = ("tcp_sendmsg_locked", "sk_stream_wait_memory:return", "sk_stream_wait_connect:return")
# tcp_sendpage_locked, which its callers know, is listed but inlined into tcp_sendpage.
_PAGES = ("do_tcp_sendpages", "sk_stream_wait_memory", "tcp_sendpage:return")
_READY = ("sock_def_readable", "?subflow_data_ready")

JOBS = (
    Job("who opened, close", "state", {RAW: ("inet_sock_set_state",)}),
    Job("end of a socket", "state", {RAW: ("tcp_destroy_sock",)}),
    Job("segment sent again", "retransmit", {RAW: ("tcp_retransmit_skb",)}),
    Job("send start, position", "send", {RAW: ("tcp_sendmsg_locked",), FENTRY: _SEND, KPROBE: _SEND}),
    Job("send of pages", "send", {FENTRY: _PAGES, KPROBE: _PAGES}, "tcp_sendpage"),
    Job(
        "send end, result",
        "send",
        {
            RAW: ("sock_send_length",),
            FENTRY: ("tcp_sendmsg:return",),
            KPROBE: ("tcp_sendmsg:return",),
        },
    ),
    Job(
        "arrival in the kernel",
        "arrival",
        {RAW: ("sk_data_ready",), FENTRY: _READY, KPROBE: _READY},
    ),
    Job(
        "read position",
        "receive",
        {
            RAW: ("tcp_rcv_space_adjust",),
            FENTRY: ("tcp_rcv_space_adjust",),
            KPROBE: ("tcp_rcv_space_adjust",),
        },
    ),
    Job(
        "read end, result",
        "receive",
        {
            RAW: ("sock_recv_length",),
            FENTRY: ("tcp_recvmsg:return",),
            KPROBE: ("tcp_recvmsg", "tcp_recvmsg:return"),
        },
    ),
)
"""In order of attachment: who opened a connection must be known before its first byte."""

KPROBE_PROGRAMS = tuple(
    dict.fromkeys(
        Hook(KPROBE, place.removeprefix(OPTIONAL), job.counted).program
        for job in JOBS
        for place in job.ways.get(KPROBE, ())
    )
)
"""Programs that count their own runs, in the order of the counters."""

RAW_PLACES = tuple(place for job in JOBS for place in job.ways.get(RAW, ()))
"""The tracepoints that tell everything where a kernel has them all."""

ARGUMENTS = {
    "tcp_sendmsg_locked": ("sk", "msg"),
    "sk_stream_wait_memory": ("sk",),
    "sk_stream_wait_connect": ("sk",),
    "tcp_sendmsg": ("sk",),
    "do_tcp_sendpages": ("sk", "size"),
    "tcp_sendpage": ("sk",),
    "sock_def_readable": ("sk",),
    "subflow_data_ready": ("sk",),
    "tcp_rcv_space_adjust": ("sk",),
    "tcp_recvmsg": ("sk", "flags"),
}
"""Parameters the programs read, by their names in the kernel; they change places between kernels."""

_RETRANSMIT_ARGUMENTS = 3
"""Of older kernels: own data, socket, segment; newer ones add an error."""


def choose(kernel: Names, backend: Backend = "auto", refused: Mapping[str, str] | None = None) -> list[Hook]:
    """Return the hooks to attach, in order. ``refused`` says why some means cannot be used.

    Raises:
        KernelUnfitError: something cannot be seen by any means that is left.
    """
    refused = refused or {}
    order = [means for means in PREFERENCE[backend] if means not in refused]
    chosen: list[Hook] = []
    missing: list[str] = []
    for job in JOBS:
        if job.only_with and kernel.parameters(job.only_with) is None:
            continue
        hooks = _way(kernel, job, order)
        chosen += hooks or ()
        if hooks is None:
            missing += _lacking(kernel, job, order)
    if missing:
        why = "".join(f"; {means} is refused: {reason}" for means, reason in refused.items())
        raise KernelUnfitError(
            f"this kernel has no {', '.join(missing)} (backend {backend}){why}: use capture.backend auto and "
            "Linux 5.15 or later with BPF trampolines or kprobes, or Linux 6.16 or later"
        )
    return chosen


def unseen(kernel: Names) -> list[str]:
    """Return, by the tracepoints that would tell it, what no means of this kernel can tell."""
    return [
        place
        for job in JOBS
        if not job.only_with and _way(kernel, job, list(PREFERENCE["auto"])) is None
        for place in job.ways.get(RAW, ())
    ]


def _way(kernel: Names, job: Job, order: list[str]) -> list[Hook] | None:
    """Return the hooks of the first way this kernel has."""
    for means in order:
        hooks = [hook for hook, optional in _hooks(job, means) if not optional or _offers(kernel, hook)]
        if hooks and all(_offers(kernel, hook) for hook in hooks):
            return hooks
    return None


def _hooks(job: Job, means: str) -> list[tuple[Hook, bool]]:
    """Return the hooks of one way, and whether the kernel may lack them."""
    return [
        (Hook(means, place.removeprefix(OPTIONAL), job.counted), place.startswith(OPTIONAL))
        for place in job.ways.get(means, ())
    ]


def _lacking(kernel: Names, job: Job, order: list[str]) -> list[str]:
    """Name what is missing for the most wanted way."""
    means = next((means for means in (*order, RAW, FENTRY) if means in job.ways), FENTRY)
    kind = "tracepoint" if means == RAW else "usable function"
    hooks = [hook for hook, optional in _hooks(job, means) if not optional]
    absent = [hook for hook in hooks if not _offers(kernel, hook)] or hooks
    return [f"{kind} {hook.function}" for hook in absent]


def _offers(kernel: Names, hook: Hook) -> bool:
    if hook.means == RAW:
        return kernel.has_tracepoint(hook.place)
    parameters = kernel.parameters(hook.function)
    return parameters is not None and set(ARGUMENTS[hook.function]) <= set(parameters)


def macros(kernel: Names) -> dict[str, int]:
    """Return where the programs find arguments and, after the last of them, a result; and count their runs.

    A function that is not there counts 0 everywhere: its program is compiled, but never loaded.
    """
    found = {f"RUN_{program.upper()}": at for at, program in enumerate(KPROBE_PROGRAMS)}
    found["RUNS_COUNTED"] = len(KPROBE_PROGRAMS)
    for function, wanted in ARGUMENTS.items():
        parameters = kernel.parameters(function) or ()
        found[f"RESULT_{function.upper()}"] = len(parameters)
        for name in wanted:
            place = parameters.index(name) if name in parameters else 0
            found[f"ARG_{function.upper()}_{name.upper()}"] = place
    # The tracepoint's own function has the arguments of its programs, after the data of its own.
    told = kernel.parameters("__traceiter_tcp_retransmit_skb") or ()
    found["RETRANSMIT_TELLS_ERROR"] = int(len(told) > _RETRANSMIT_ARGUMENTS)
    return found


def describe(chosen: list[Hook]) -> str:
    """Return a line for people: the places by means."""
    kinds = {RAW: "raw tracepoints", FENTRY: "fentry", KPROBE: "kprobes"}
    parts = []
    for means, kind in kinds.items():
        places = [hook.place for hook in chosen if hook.means == means]
        if places:
            parts.append(f"{kind} {', '.join(places)}")
    return "; ".join(parts)
