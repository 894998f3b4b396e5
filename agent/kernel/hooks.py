# SPDX-License-Identifier: Apache-2.0
"""The one table of where the programs are attached.

Another backend is another table over the same handlers.
"""

from typing import NamedTuple

from agent.kernel.btf import Btf
from agent.kernel.errors import KernelUnfitError


class Hook(NamedTuple):
    """One place in the kernel and the program that runs there."""

    place: str
    """Name of the tracepoint."""
    program: str
    """Function in bpf/."""
    reports: str
    """What it tells, for people."""
    counted: str
    """Name of the hook under which its events are counted."""


RAW_TRACEPOINTS = (
    Hook("inet_sock_set_state", "raw_inet_sock_set_state", "who opened, close", "state"),
    Hook("tcp_destroy_sock", "raw_tcp_destroy_sock", "end of a socket", "state"),
    Hook("tcp_sendmsg_locked", "raw_tcp_sendmsg_locked", "send start, position", "send"),
    Hook("sock_send_length", "raw_sock_send_length", "send end, result", "send"),
    Hook("sk_data_ready", "raw_sk_data_ready", "arrival in the kernel", "arrival"),
    Hook("tcp_rcv_space_adjust", "raw_tcp_rcv_space_adjust", "read position", "receive"),
    Hook("sock_recv_length", "raw_sock_recv_length", "read end, result", "receive"),
)
"""In order of attachment: who opened a connection must be known before its first byte."""


def choose(btf: Btf) -> tuple[Hook, ...]:
    """Return the hooks to attach on the kernel with this BTF; what it lists decides, never its version.

    Raises:
        KernelUnfitError: a place is missing.
    """
    missing = [hook.place for hook in RAW_TRACEPOINTS if not btf.has_tracepoint(hook.place)]
    if missing:
        names = ", ".join(missing)
        raise KernelUnfitError(f"this kernel has no tracepoint {names}: use Linux 6.16 or later")
    return RAW_TRACEPOINTS
