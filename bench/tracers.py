# SPDX-License-Identifier: Apache-2.0
"""What is compared beside a workload: wirelag, the reference, a bpftrace script; each a process of its own.

All are measured from outside and alike: processor time by the cgroup, time in BPF by the programs whose
descriptors the process holds (kernel.bpf_stats_enabled).
"""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bench.cgroup import Group

Name = Literal["wirelag", "braked", "naive", "bpftrace"]
"""wirelag keeps every event; braked is wirelag too, within the limits that an agent has by default."""
SCRIPT = Path(__file__).parent / "naive" / "events.bt"
WITH_TRACEFS = 'mount -t tracefs nodev /sys/kernel/tracing && exec "$@"'
"""In a mount namespace of its own: nothing is left mounted."""
START_SECONDS = 30.0
END_SECONDS = 60.0
PROBES = 3


class Told(NamedTuple):
    """What a tracer had taken in at its end."""

    events: int
    lost: int
    """As it counts itself."""


class Tracer:
    """One tracer of the namespaces with these inode numbers; the constructor returns once it traces."""

    def __init__(self, name: Name, inodes: list[int], broker: str, group: Group) -> None:
        self._name = name
        self._output = tempfile.TemporaryDirectory(prefix="wirelag-bench-")
        self._printed = Path(self._output.name) / "printed"
        if name == "bpftrace":
            program = ["bpftrace", "-o", str(self._printed), str(SCRIPT), str(inodes[0])]
            command = ["unshare", "--mount", "sh", "-c", WITH_TRACEFS, "sh", *program]
        else:
            subject = "ours" if name == "wirelag" else name
            command = [sys.executable, "-m", "bench.agent", subject, ",".join(map(str, inodes)), broker]
        self._process = subprocess.Popen(  # noqa: S603
            group.command(*command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if name == "bpftrace" else None,
            text=True,
        )
        self._wait_until_started()

    def bpf_ns(self) -> int:
        """Return the time in all its programs so far."""
        return sum(map(int, self._found("run_time_ns")))

    def stop(self) -> Told:
        """End it in good order and return what it had taken in."""
        if self._name == "bpftrace":
            self._process.send_signal(signal.SIGINT)
            self._process.wait(END_SECONDS)
            return self._count_lines()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return Told(said["events"], said["lost"])

    def close(self) -> None:
        """End it however it takes."""
        self._process.kill()
        self._process.wait()
        self._output.cleanup()

    def _wait_until_started(self) -> None:
        if self._name != "bpftrace":
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == "started\n"
            return
        until = time.monotonic() + START_SECONDS
        while len(self._found("prog_id")) < PROBES:
            if self._process.poll() is not None or time.monotonic() > until:
                raise SystemExit("bpftrace does not start (is it installed? scripts/setup --programs)")
            time.sleep(0.05)
        time.sleep(0.5)  # the last one is attached right after it is loaded

    def _found(self, key: str) -> list[str]:
        texts = []
        for file in Path(f"/proc/{self._process.pid}/fdinfo").iterdir():
            try:
                texts.append(file.read_text(encoding="ascii"))
            except OSError:  # closed meanwhile
                continue
        held = [text for text in texts if "prog_type:" in text]
        return [found[1] for text in held if (found := re.search(rf"^{key}:\s*(\d+)$", text, re.MULTILINE))]

    def _count_lines(self) -> Told:
        lost = 0
        kinds: Counter[str] = Counter()
        with self._printed.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                kinds[line[:2]] += 1
                if line.startswith("Lost "):
                    lost += int(line.split()[1])
        return Told(sum(kinds[kind] for kind in ("1 ", "2 ", "3 ")), lost)
