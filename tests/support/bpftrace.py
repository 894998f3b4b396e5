# SPDX-License-Identifier: Apache-2.0
"""bpftrace on the tracepoints that wirelag's own programs are attached to: a second opinion, and a neighbour.

It counts what one process does. tracefs, which it needs, is mounted in a mount namespace of its own.
"""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.netns import Host
from support.program import Program, find

_TCP = 6
_PROBES = {
    "sends": ("tracepoint:sock:sock_send_length", f"args->protocol == {_TCP} && args->ret > 0", "args->ret"),
    "reads": ("tracepoint:sock:sock_recv_length", f"args->protocol == {_TCP} && args->ret > 0", "args->ret"),
    "hits": ("tracepoint:tcp:tcp_sendmsg_locked", "1", "1"),
    "copies": ("tracepoint:tcp:tcp_rcv_space_adjust", "1", "1"),
}
_AGAIN_SECONDS = 5.0
"""Ten times what an end takes on a busy machine: when it is under way another signal would cut it short."""
_MOUNT = 'mount -t tracefs none /sys/kernel/tracing && exec "$0" "$@"'


class Bpftrace:
    """bpftrace while the block runs, counting what the process ``pid`` does.

    ``provoke`` makes another, ``canary``, send and read something: so it is seen when all is attached.
    """

    def __init__(self, host: Host, log: Path, pid: int, canary: int, provoke: Callable[[], object]) -> None:
        self._provoke = provoke
        command = (
            "unshare",
            "--mount",
            "sh",
            "-c",
            _MOUNT,
            find("bpftrace"),
            "-q",
            "-f",
            "json",
            "-B",
            "none",
        )
        self._program = Program(host, log, *command, "-e", _script(pid, canary))

    def __enter__(self) -> Self:
        self._program.__enter__()
        try:
            self._program.wait_for(self._all_seen)
        except BaseException:
            self._program.end(signal.SIGKILL)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.__exit__(kind, error, trace)

    def end(self) -> dict[str, tuple[int, int]]:
        """End it and return (times, bytes) by the names of ``_PROBES``; hits and copies have no bytes.

        It heeds a signal where that ends its waiting for events, else with the next event; there may be none.
        """
        said = self._program.end(signal.SIGINT, _AGAIN_SECONDS)
        maps: dict[str, int] = {}
        for line in said.splitlines():
            told: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            maps |= told.get("data", {}) if told.get("type") == "map" else {}
        return {name: (maps.get(f"@{name}", 0), maps.get(f"@{name}_bytes", 0)) for name in _PROBES}

    def _all_seen(self) -> bool:
        self._provoke()
        return all(f"canary {name}" in self._program.text for name in _PROBES)


def _script(pid: int, canary: int) -> str:
    """Return one clause a tracepoint, so that what the canary shows to be there counts too."""
    parts = []
    for name, (probe, condition, value) in _PROBES.items():
        counts = f"@{name} = count(); @{name}_bytes = sum({value});"
        seen = f'printf("canary {name}\\n");'
        parts.append(
            f"{probe} /{condition}/ {{ if (pid == {pid}) {{ {counts} }} if (pid == {canary}) {{ {seen} }} }}"
        )
    return "\n".join(parts)
