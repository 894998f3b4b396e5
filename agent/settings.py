# SPDX-License-Identifier: Apache-2.0
"""Everything the agent can be told: ``agent.toml``, ``WIRELAG_AGENT__…`` and ``--set``."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from agent.brakes.settings import BrakesSection
from agent.brokers import Exclude
from agent.kernel.settings import Backend
from agent.privacy.settings import PrivacySection
from agent.privacy.veil import Veil
from agent.spool.settings import SpoolSection
from common.config import Settings
from common.errors import ConfigError
from common.kafka import KafkaSettings
from common.service import ServiceSettings
from common.units import Duration
from schemas.key import FIXED_KEY

ENV_PREFIX = "WIRELAG_AGENT"
MIN_KEY_BYTES = 16
NS_GET_NSTYPE = 0xB703
CLONE_NEWNET = 0x40000000
MOUNTS = Path("/proc/self/mountinfo")
Port = Annotated[int, Meta(ge=1, le=65535)]


class HostSection(Settings, frozen=True):
    """Who this agent is."""

    host_name: Annotated[
        str, Meta(max_length=255, description="name of this host in every answer; empty: its node name")
    ] = ""
    fleet_key_file: Annotated[
        Path | None,
        Meta(description="file with the fleet-wide secret that names connections; not set: a fixed key"),
    ] = None
    runtime_dir: Annotated[
        Path, Meta(description="folder that `wirelag-agent status` reads; only the agent's user may")
    ] = Path("/run/wirelag")
    labels: Annotated[
        bool, Meta(description="tell unit, container or pod of each process, as its cgroup names them")
    ] = True
    heartbeat: Annotated[Duration, Meta(description="how often the control topic hears of this agent")] = (
        Duration(2)
    )


class CaptureSection(Settings, frozen=True):
    """What is traced: all lists empty = every TCP socket of the host but the agent's own."""

    ports: Annotated[
        tuple[Port, ...], Meta(description="only connections with one of these ports, at either end")
    ] = ()
    exclude_ports: Annotated[
        tuple[Port, ...],
        Meta(description="never connections with one of these ports"),
    ] = ()
    exclude_brokers: Annotated[
        Exclude,
        Meta(
            description="leave out the Kafka brokers' ports: auto where one runs on this host, always, never"
        ),
    ] = "auto"
    netns: Annotated[
        tuple[str, ...],
        Meta(description="only these network namespaces: inode numbers or paths such as /run/netns/a"),
    ] = ()
    cgroups: Annotated[
        tuple[str, ...],
        Meta(description="only processes in these cgroups (v2): ids or paths of their folders"),
    ] = ()
    backend: Annotated[
        Backend,
        Meta(description="kind of hook to prefer: auto, raw (tracepoints), fentry or kprobe (last resort)"),
    ] = "auto"
    ring_pages: Annotated[
        int, Meta(ge=8, le=4096, description="pages of the perf ring of each CPU, a power of two")
    ] = 256
    flush: Annotated[
        Duration, Meta(description="how often half-full kernel batches are emptied, at most 200ms")
    ] = Duration(0.1)

    def __post_init__(self) -> None:
        """Refuse what the kernel would not take."""
        if self.ring_pages & (self.ring_pages - 1):
            message = f"ring-pages: found {self.ring_pages}; allowed is a power of two from 8 to 4096"
            raise ValueError(message)


class BatchSection(Settings, frozen=True):
    """When events become a record."""

    max_events: Annotated[int, Meta(ge=1, le=16384, description="events in one record at most")] = 8192
    max_age: Annotated[Duration, Meta(description="how long an event may wait for company")] = Duration(1)


class AgentSettings(Settings, frozen=True):
    """The whole configuration of ``wirelag-agent``."""

    agent: HostSection = HostSection()
    capture: CaptureSection = CaptureSection()
    batch: BatchSection = BatchSection()
    brakes: BrakesSection = BrakesSection()
    kafka: KafkaSettings = KafkaSettings()
    spool: SpoolSection = SpoolSection()
    privacy: PrivacySection = PrivacySection()
    service: ServiceSettings = ServiceSettings()

    def host(self) -> str:
        """Return the host's name."""
        return self.agent.host_name or os.uname().nodename

    def fleet_key(self) -> bytes:
        """Return the secret that names connections.

        Raises:
            ConfigError: the file cannot be read or holds too little.
        """
        path = self.agent.fleet_key_file
        return FIXED_KEY if path is None else secret_in(path, "agent.fleet-key-file")

    def veil(self) -> Veil:
        """Return what hides addresses and names as ``[privacy]`` says.

        Raises:
            ConfigError: its key is needed, and the file cannot be read or holds too little.
        """
        own = self.privacy
        secret = b""
        if own.needs_key and own.key_file is not None:
            secret = secret_in(own.key_file, "privacy.key-file")
        return Veil(own.ip_mode, own.comm, own.labels, secret)


def secret_in(path: Path, key: str) -> bytes:
    """Return the secret in a file; ``key`` is where the settings name it.

    Raises:
        ConfigError: the file cannot be read, or holds too little.
    """
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{key}: {path}: {error.strerror}") from error
    if len(secret) < MIN_KEY_BYTES:
        message = f"{key}: {path} holds {len(secret)} bytes; at least {MIN_KEY_BYTES} are needed"
        raise ConfigError(message)
    return secret


def namespace_of(text: str) -> int:
    """Return the inode number of the network namespace that a text names: digits, or a path.

    Raises:
        ConfigError: it is neither, or the path is that of something else.
    """
    return _inode_of(
        text, "capture.netns", _is_namespace, "a network namespace (/run/netns/…, /proc/…/ns/net)"
    )


def cgroup_of(text: str) -> int:
    """Return the id of the cgroup (v2) that a text names: digits, or the path of its folder.

    Raises:
        ConfigError: it is neither, or the path is that of something else.
    """
    return _inode_of(text, "capture.cgroups", _is_cgroup, "the folder of a cgroup of version 2")


def _inode_of(text: str, key: str, right: Callable[[str], bool], what: str) -> int:
    if text.isdigit():
        return int(text)
    try:
        if not right(text):
            raise ConfigError(f"{key}: found {text!r}, which is not {what}: nothing would be traced")
        return Path(text).stat().st_ino
    except OSError as error:
        raise ConfigError(
            f"{key}: found {text!r} ({error.strerror}); allowed are an inode number or a path"
        ) from error


def _is_namespace(path: str) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return fcntl.ioctl(descriptor, NS_GET_NSTYPE) == CLONE_NEWNET
    except OSError:
        return False  # what is no namespace does not know the question
    finally:
        os.close(descriptor)


def _is_cgroup(path: str) -> bool:
    device = Path(path).stat().st_dev
    mounts = (line.split() for line in MOUNTS.read_text(encoding="utf-8").splitlines())
    found = {fields[2] for fields in mounts if fields[fields.index("-") + 1] == "cgroup2"}
    return f"{os.major(device)}:{os.minor(device)}" in found
