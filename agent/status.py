# SPDX-License-Identifier: Apache-2.0
"""How an agent stands, told to whoever asks on its host: a file in the runtime directory.

Guarantee: a file is whole (it is replaced, never written in place), only its owner can read it, and it counts
only as long as the agent that wrote it holds the lock beside it, so an agent that was killed is not taken for
one that runs.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from common.errors import RuntimeFailure

VERSION = 1
_OTHERS_WRITE = 0o022


class Status(msgspec.Struct, kw_only=True, frozen=True):
    """What ``wirelag-agent status --json`` prints; what is not known is null. Totals are since the start."""

    version: int = VERSION
    host: str
    pid: int
    agent: str
    """The agent's version."""
    epoch: int
    """Realtime nanoseconds at which it started."""
    monotonic_ns: int
    """CLOCK_MONOTONIC when this was written."""
    uptime_seconds: float
    events: int
    """Attempted: seen by a hook in the kernel."""
    delivered: int
    """Acknowledged by Kafka."""
    lost: dict[str, int]
    """By stage/reason; reasons that never came are left out."""
    in_flight: int
    """Neither delivered nor lost yet."""
    delivered_records: int
    delivered_bytes: int
    last_delivery_ns: int | None
    """CLOCK_MONOTONIC of Kafka's last acknowledgement of events."""
    last_error: str
    """Kafka's, empty: none."""
    oldest_undelivered_seconds: float = 0.0
    """Age of the oldest event that Kafka has not acknowledged; 0: none waits in the delivery."""
    kernel_us_per_event: float | None
    """Time in the BPF programs; null until it was measured, which takes CAP_SYS_ADMIN."""
    agent_us_per_event: float | None
    """Processor time of the agent's own process."""
    cpu_percent: float
    """Of one core, since the last status."""
    cpu_mean_percent: float
    """Of one core, since the start."""
    rss_bytes: int
    state: str
    """``tracing`` or ``stopped``."""
    why: str
    """What stopped it or thins its events."""
    order: int
    """Number of the newest order carried out, 0 = none."""
    connection_rate: int
    """Of 65,536 connections, how many are kept whole."""
    block_rate: int
    """Of 65,536 blocks of a stream, how many are kept."""
    rate_changes: int
    kept: int
    """Of ``events``."""
    sampled: int
    """Of ``events``: left out in the kernel."""
    bytes_per_day: int | None
    """Of records before compression, at the pace of the last five minutes."""
    ports_left_out: tuple[int, ...]
    """Those of Kafka brokers."""
    spool_records: int | None = None
    """On disk because Kafka did not take them, or not in time; null: there is no spool."""
    spool_bytes: int | None = None
    spool_limit_bytes: int | None = None
    spool_oldest_seconds: float | None = None
    """Age of the oldest event in the spool, null: it is empty."""


class StatusFile:
    """The status of this process's agent. The constructor touches nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"agent-{os.getpid()}.json"
        self._lock: int | None = None
        """File descriptor."""

    def open(self) -> None:
        """Make the folder, take the lock, and clear away what dead agents left.

        Raises:
            OSError: the folder cannot be written, or others can write there.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.stat().st_mode & _OTHERS_WRITE:
            raise PermissionError(errno.EPERM, "others than its owner may write there")
        for lock in sorted(self._folder.glob("agent-*.lock")):
            if not held(lock):
                _remove(lock.with_suffix(".json"), lock)
        self._lock = _private(self._path.with_suffix(".lock"))
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, status: Status) -> None:
        """Replace the file, if it is open.

        Raises:
            OSError: the folder cannot be written.
        """
        if self._lock is None:
            return
        new = self._path.with_suffix(".new")
        with os.fdopen(_private(new), "wb") as file:
            file.write(msgspec.json.encode(status))
        new.replace(self._path)

    def close(self) -> None:
        """Remove the file."""
        if self._lock is not None:
            _remove(self._path, self._path.with_suffix(".lock"))
            os.close(self._lock)
            self._lock = None


def read_all(folder: Path) -> Iterator[Status]:
    """Yield the status of each agent that runs.

    Raises:
        RuntimeFailure: the folder cannot be read, or a file is of another version of the agent.
    """
    try:
        locks = sorted(path for path in folder.iterdir() if path.suffix == ".lock")
        for lock in locks:
            path = lock.with_suffix(".json")
            if held(lock) and path.exists():
                yield msgspec.json.decode(path.read_bytes(), type=Status)
    except FileNotFoundError:
        return
    except PermissionError as error:
        raise RuntimeFailure(f"{folder} cannot be read: run as root, or as the agent's user") from error
    except NotADirectoryError as error:
        raise RuntimeFailure(f"{folder} is no folder: is agent.runtime-dir that of the agent?") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RuntimeFailure(f"{folder} holds the status of another version: {error}") from error


def running(folder: Path) -> list[Status]:
    """Return the status of each agent that runs, at least one.

    Raises:
        RuntimeFailure: none runs, or as ``read_all``.
    """
    found = list(read_all(folder))
    if not found:
        raise RuntimeFailure(f"no agent runs on this host (none has a status in {folder})")
    return found


def held(lock: Path) -> bool:
    """Say whether a running process holds a lock."""
    try:
        with lock.open("r", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
