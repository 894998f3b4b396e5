# SPDX-License-Identifier: Apache-2.0
"""Traffic from all CPUs at once, and what a capture made of it: the sums that must hold whatever the load."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from agent.kernel.counters import HOOK_NAMES, HookCounters
from support import traffic
from support.netns import Network
from support.trace import Tracer
from support.worker import Worker


class Storm(NamedTuple):
    """What one storm came to: the applications' calls, the kernel's account, and what was handed over."""

    sent: int
    """Calls that sent."""
    read: int
    """Calls that read."""
    received: dict[str, int]
    """Events decoded, by hook."""
    silent: int
    """Events and facts in holes of the sequence numbers beyond those counted as lost, ever."""
    hooks: dict[str, HookCounters]
    """The kernel's account of the storm alone."""
    facts: HookCounters

    @property
    def lost(self) -> int:
        """Events the ring had no room for."""
        return sum(hook.lost for hook in self.hooks.values())

    @property
    def exact(self) -> bool:
        """Whether all sums are right: the kernel's own, and those against what came."""
        return (
            all(_settled(hook) for hook in (*self.hooks.values(), self.facts))
            and all(hook.delivered == self.received[name] for name, hook in self.hooks.items())
            and self.silent <= 0
        )


def blow(
    tracer: Tracer,
    workers: Sequence[Worker],
    network: Network,
    messages: int,
    *,
    read: bool = True,
    meanwhile: Callable[[], None] = lambda: None,
) -> Storm:
    """Have each worker exchange so many messages on two connections.

    While it blows the rings are emptied if ``read``, and ``meanwhile`` is called after each time.
    """
    tracer.forget()
    before = tracer.capture.counters()
    received = dict.fromkeys(HOOK_NAMES, 0)
    answers = [worker.start(traffic.storm, network, 2, messages) for worker in workers]
    while read and any(worker.busy for worker in workers):
        _add(received, tracer.cycle()[0].spans)
        meanwhile()
    calls = [answer() for answer in answers]
    now, complete_until_ns = time.monotonic_ns(), 0
    while complete_until_ns < now:
        decoded, complete_until_ns = tracer.cycle()
        _add(received, decoded.spans)
    after = tracer.capture.counters()
    return Storm(
        sum(sent for sent, _ in calls),
        sum(taken for _, taken in calls),
        received,
        tracer.missing - after.lost - after.facts.lost,
        {name: _moved(before.hooks[name], hook) for name, hook in after.hooks.items()},
        _moved(before.facts, after.facts),
    )


def _add(received: dict[str, int], spans: NDArray[Any]) -> None:
    for _, stream, _, count in spans.tolist():
        if stream < len(HOOK_NAMES):
            received[HOOK_NAMES[stream]] += count


def _moved(before: HookCounters, after: HookCounters) -> HookCounters:
    return HookCounters(*(new - old for old, new in zip(before, after, strict=True)))


def _settled(hook: HookCounters) -> bool:
    return hook.unaccounted == 0 and hook.residual == 0
