# SPDX-License-Identifier: Apache-2.0
"""From a process in a real cgroup to its label: the kernel's facts, the host's folders, the directory."""

import time
from pathlib import Path

import numpy as np

from agent import cgroups
from agent.directory import Directory
from agent.labels import Labels, host_labels
from schemas.batch import Process
from support import traffic
from support.cgroups import UNIFIED, enter, make, own_cgroup
from support.netns import Network
from support.trace import Trace, Tracer
from support.worker import Worker

CONTAINER = "c0ffee00beef" + "0" * 52


def labelled(trace: Trace, labels: Labels) -> dict[str, Process]:
    """Return the processes that made calls, by label."""
    directory = Directory(b"secret", lambda _pid: None, labels.of)
    directory.learn(trace.connections, trace.tasks)
    events = trace.events[trace.events["tgid"] != 0]
    resolved = directory.resolve(events, np.arange(len(events)), time.monotonic_ns())
    found = [directory.processes.value(index) for index in sorted(set(resolved.process.tolist()))]
    return {process.label: process for process in found}


def moved(worker: Worker, folder: Path, network: Network) -> None:
    """Have the worker talk in a cgroup, as another program, so that the kernel tells of it anew."""
    enter(folder, worker.pid)
    worker.replace(folder.name[:12])
    worker.run(traffic.echo, network, 2, 10)


def test_a_process_has_the_label_of_its_cgroup(network: Network, tracer: Tracer) -> None:
    """As it was when it made its calls, also after it went on to another cgroup."""
    labels = host_labels(time.monotonic_ns)
    with own_cgroup() as top, Worker() as worker:
        folders = [make(top, path) for path in ("web.service", f"docker-{CONTAINER}.scope")]
        labels.fill()
        found = {}
        for folder in folders:
            moved(worker, folder, network)
            found |= labelled(tracer.take(), labels)
            assert (worker.pid, folder.stat().st_ino) in {(one.pid, one.cgroup) for one in found.values()}
        assert {(one.label, one.pid) for one in found.values()} == {
            ("unit:web.service", worker.pid),
            ("container:c0ffee00beef", worker.pid),
        }


def test_a_cgroup_that_is_made_while_tracing_is_found(network: Network, tracer: Tracer) -> None:
    """Its id is unknown when the kernel tells of the process: the host is walked at once."""
    labels = host_labels(time.monotonic_ns)
    with own_cgroup() as top, Worker() as worker:
        moved(worker, make(top, "late.service"), network)
        assert [*labelled(tracer.take(), labels)] == ["unit:late.service"]


def test_a_process_that_died_with_its_cgroup_has_no_label(network: Network, tracer: Tracer) -> None:
    labels = host_labels(time.monotonic_ns)
    with own_cgroup() as top:
        with Worker() as worker:
            folder = make(top, "gone.service")
            moved(worker, folder, network)
            number = folder.stat().st_ino
            enter(UNIFIED, worker.pid)
        folder.rmdir()
        assert number not in dict(cgroups.walk(UNIFIED))
        (process,) = labelled(tracer.take(), labels).values()
        assert (process.label, process.cgroup, process.pid) == ("", number, worker.pid)
