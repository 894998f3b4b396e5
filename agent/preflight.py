# SPDX-License-Identifier: Apache-2.0
"""``wirelag-agent check``: one line for each thing that `run` needs, or the first error with its remedy."""

import os
from collections.abc import Iterator
from pathlib import Path

from agent import cgroups
from agent.about import config_id
from agent.arrival import brokers_ports
from agent.delivery.kafka import KafkaDelivery
from agent.kernel.capture import Capture
from agent.ledger import Ledger
from agent.privacy.told import privacy, readable
from agent.service import capture_settings
from agent.settings import AgentSettings
from agent.spool.folder import is_held
from common.errors import RuntimeFailure
from schemas.order import ORDERS


def check(settings: AgentSettings, *, offline: bool) -> Iterator[str]:
    """Yield a line for each thing found in order.

    Raises:
        WirelagError: the first thing that is not, with its remedy.
    """
    yield f"settings ok: host {settings.host()}, config {config_id(settings)}"
    settings.fleet_key()
    if settings.agent.fleet_key_file is None:
        yield "fleet key: none set, a fixed key names connections (set agent.fleet-key-file on all hosts)"
    else:
        yield f"fleet key: {settings.agent.fleet_key_file}{readable(settings.agent.fleet_key_file)}"
    yield f"privacy: {privacy(settings)}"
    yield f"labels: {labels(settings, cgroups.mount_point())}"
    yield f"kernel ok: {Capture(capture_settings(settings.capture)).probe()}"
    yield f"spool: {spool(settings.spool.folder)}"
    for path in settings.kafka.security.readable_by_others():
        yield f"warning: {path} holds a secret and every user may read it (chmod o-r)"
    if offline:
        yield "kafka: not asked (--offline)"
        return
    delivery = KafkaDelivery(settings.kafka, Ledger())
    delivery.check_topic()
    yield f"kafka ok: {settings.kafka.events_topic} has {settings.kafka.shards} partitions"
    if delivery.control_partitions <= ORDERS:
        yield f"orders: none, as {settings.kafka.control_topic} has one partition (docs/operating.md)"
    if ports := brokers_ports(settings.capture, delivery):
        yield f"left out: port {', '.join(map(str, ports))} of Kafka (capture.exclude-brokers)"


def spool(folder: Path | None) -> str:
    """Return where records will wait that Kafka does not take.

    Raises:
        RuntimeFailure: the folder is not there and cannot be made, or cannot be written.
    """
    if folder is None:
        return "none, what Kafka does not take waits in memory only (spool.path)"
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise RuntimeFailure(
            f"spool {folder}: {there} cannot be written: set spool.path to another, or to nothing"
        )
    return f"in {folder}{', in use by an agent' if is_held(folder) else ''}"


def labels(settings: AgentSettings, root: Path | None) -> str:
    """Return which processes will have labels, with the cgroups mounted at ``root``."""
    if not settings.agent.labels:
        return "left out (agent.labels)"
    if settings.privacy.labels == "off":
        return "left out (privacy.labels)"
    if root is None:
        return "none, as no cgroups of version 2 are mounted"
    if root.stat().st_ino != cgroups.ROOT_ID:
        return f"only of this container, as {root} shows no more (mount the host's /sys/fs/cgroup beside it)"
    return f"of the cgroups below {root}"
