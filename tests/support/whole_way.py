# SPDX-License-Identifier: Apache-2.0
"""The whole way as a user runs it: agent, Kafka, consumer and queries, each a process of its own."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

BIN = Path(sys.executable).parent
SHARDS = 3


class Names(NamedTuple):
    """Where events go."""

    bootstrap: str
    events: str
    control: str
    latency: str
    poison: str

    def settings(self) -> list[str]:
        """Return the `--set` arguments that both services share."""
        texts = (
            f"kafka.bootstrap-servers={self.bootstrap}",
            f"kafka.events-topic={self.events}",
            f"kafka.control-topic={self.control}",
            f"kafka.shards={SHARDS}",
        )
        return [argument for text in texts for argument in ("--set", text)]


class AgentProcess:
    """One agent; leaving the block ends it in good order and keeps its last words in `totals`."""

    def __init__(self, names: Names, netns: tuple[int, ...], *more: str) -> None:
        own = (
            f"capture.netns={','.join(map(str, netns))}",
            "capture.ring-pages=1024",
            "capture.exclude-brokers=never",  # a port of the traffic may be the broker's by chance
            "brakes.max-cpu-percent=0",
            "service.log-format=json",
            "spool.path=",
            *more,
        )
        self._command = [str(BIN / "wirelag-agent"), "run", *names.settings()]
        self._command += [argument for text in own for argument in ("--set", text)]
        self.said: list[str] = []
        """Its log, as far as it was read."""
        self._awaited: tuple[str, ...] = ("tracing", "not tracing")
        self.totals: dict[str, int] = {}

    def begun(self, event: str) -> Self:
        """Have ``with`` go on at such a line of its log, rather than once it traces."""
        self._awaited = (event,)
        return self

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        try:
            self.read_until(*self._awaited)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        alive = self._process.poll() is None
        self._process.send_signal(signal.SIGTERM)
        try:
            if kind is None and alive:
                self.totals = self.read_until("stopped")["totals"]
        finally:
            if self._process.stderr is not None:
                self._process.stderr.close()
            if kind is not None:
                self._process.kill()
            self._process.wait()

    def heard(self, event: str) -> bool:
        """Say whether its log had such a line already."""
        return any(f'"event": "{event}"' in line for line in self.said)

    def terminate(self) -> None:
        """Ask it to end in good order (SIGTERM)."""
        self._process.send_signal(signal.SIGTERM)

    def code(self) -> int:
        """Return its exit code once it has ended."""
        return self._process.wait(100)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL): no last words; the block may still be left."""
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def read_until(self, *events: str) -> dict[str, Any]:
        """Return the next line of its log that is of one of these events."""
        lines: IO[str] | None = self._process.stderr
        for line in lines or ():
            self.said.append(line)
            words: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            if words.get("event") in events:
                return words
        raise AssertionError("the agent ended early:\n" + "".join(self.said))


def consume(names: Names, lake: Path, *more: str) -> str:
    """Take the topics to their ends into the lake; returns what the command printed."""
    own = (
        f"lake.uri={lake}",
        f"kafka.latency-topic={names.latency}",
        f"kafka.poison-topic={names.poison}",
        f"consumer.group={names.events}",
        *more,
    )
    command = [str(BIN / "wirelag"), "consume", "--until-end", *names.settings()]
    return run(command + [argument for text in own for argument in ("--set", text)])


def query(what: str, lake: Path, *more: str) -> list[dict[str, Any]]:
    """Ask the lake; returns the JSON rows."""
    text = run([str(BIN / "wirelag"), "query", what, "--lake", str(lake), "--json", *more])
    return [json.loads(line) for line in text.splitlines()]


def run(command: list[str]) -> str:
    """Run a command to its end; it has to succeed."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
