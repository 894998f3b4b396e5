# SPDX-License-Identifier: Apache-2.0
"""What wirelag needs of its four topics, and in what those that are there differ. Pure: nothing is asked.

A difference is essential where events would be refused, lost unseen or told apart wrongly; the others are
advice. Each one names the remedy.
"""

from collections.abc import Mapping
from typing import NamedTuple

from common.kafka import KafkaSettings
from common.units import Duration
from schemas.order import ORDERS

_HOUR = 3600 * 1000  # milliseconds
_DAY = 24 * _HOUR
_SEGMENT_BYTES = 64 * 2**20
_OVERHEAD_BYTES = 512  # of a batch of one record with wirelag's headers
CONTROL_PARTITIONS = ORDERS + 1
COPIES = 3
COPIES_IN_SYNC = 2
TIMESTAMPS = "message.timestamp.type"
_CREATE = "wirelag topics create"


class Need(NamedTuple):
    """One topic as it is to be."""

    name: str
    role: str
    """``events``, ``control``, ``latency`` or ``poison``."""
    partitions: int
    config: dict[str, str]
    record_bytes: int
    """Largest record that is sent to it."""


class Found(NamedTuple):
    """One topic as it is."""

    partitions: int
    copies: int
    """Of the partition that has the fewest."""
    config: Mapping[str, str]
    """Every setting in force, the broker's defaults included."""


class Difference(NamedTuple):
    """One thing in which a topic is not as it is to be."""

    topic: str
    what: str
    found: str
    wanted: str
    essential: bool
    remedy: str


def needs(settings: KafkaSettings, keep: Duration | None = None) -> list[Need]:
    """Return the topics that wirelag needs; ``keep`` is how long events are kept, 3 days without.

    LogAppendTime everywhere: a record's time must be the broker's, since no watermark uses a host's.
    Control keeps the last word of each agent and, in a partition of their own, the last orders to agents; its
    segments are short since only closed ones are compacted. After a week both are forgotten.
    """
    own = {TIMESTAMPS: "LogAppendTime", "cleanup.policy": "delete"}
    last_words = {
        **own,
        "cleanup.policy": "compact,delete",
        "retention.ms": str(7 * _DAY),
        "segment.ms": str(_HOUR),
        "segment.bytes": str(_SEGMENT_BYTES),
    }
    kept = round(keep * 1000) if keep is not None else 3 * _DAY
    size = int(settings.max_record)
    shards = settings.shards
    return [
        Need(settings.events_topic, "events", shards, {**own, "retention.ms": str(kept)}, size),
        Need(settings.control_topic, "control", CONTROL_PARTITIONS, last_words, size),
        Need(settings.latency_topic, "latency", shards, {**own, "retention.ms": str(_DAY)}, size),
        Need(settings.poison_topic, "poison", 1, {**own, "retention.ms": str(14 * _DAY)}, size),
    ]


def differences(need: Need, found: Found | None, brokers: int) -> list[Difference]:
    """Return in what a topic differs, the essential first; ``brokers``: how many the cluster has."""
    if found is None:
        return [Difference(need.name, "topic", "missing", "there", essential=True, remedy=_CREATE)]
    told = [
        *_partitions(need, found),
        *_times(need, found),
        *_cleaning(need, found),
        *_sizes(need, found),
        *_copies(need, found, brokers),
    ]
    return sorted(told, key=lambda one: not one.essential)


def _partitions(need: Need, found: Found) -> list[Difference]:
    wanted, there = need.partitions, found.partitions
    if need.role == "events" and there != wanted:
        remedy = f"set kafka.shards = {there} on every agent and consumer, or use another topic"
        return [_differs(need, "partitions", there, wanted, remedy, essential=True)]
    if need.role == "control" and there < wanted:
        remedy = f"it carries no orders to agents: kafka-topics.sh --alter --topic {need.name} --partitions 2"
        return [_differs(need, "partitions", there, wanted, remedy, essential=False)]
    return []


def _times(need: Need, found: Found) -> list[Difference]:
    there, wanted = found.config.get(TIMESTAMPS, ""), need.config[TIMESTAMPS]
    if there == wanted:
        return []
    essential = need.role in {"events", "control"}
    return [_setting(need, TIMESTAMPS, there, wanted, essential=essential)]


def _cleaning(need: Need, found: Found) -> list[Difference]:
    told = []
    there = {word.strip() for word in found.config.get("cleanup.policy", "").split(",")}
    wanted = need.config["cleanup.policy"]
    if ("compact" in there) != ("compact" in wanted):
        # To a compacted topic a record without a key is refused; one that is not forgets the last words.
        essential = "compact" in there
        told.append(_setting(need, "cleanup.policy", ",".join(sorted(there)), wanted, essential=essential))
    kept, least = int(found.config.get("retention.ms", "-1")), int(need.config["retention.ms"])
    if "delete" in there and 0 <= kept < least:
        told.append(_setting(need, "retention.ms", str(kept), str(least), essential=False))
    if need.role == "events" and int(found.config.get("retention.bytes", "-1")) >= 0:
        bytes_ = found.config["retention.bytes"]
        told.append(_setting(need, "retention.bytes", bytes_, "-1", essential=False))
    return told


def _sizes(need: Need, found: Found) -> list[Difference]:
    name, least = "max.message.bytes", need.record_bytes + _OVERHEAD_BYTES
    there = int(found.config.get(name, least))
    if there >= least:
        return []
    return [_setting(need, name, str(there), f"{least} or more", essential=need.role == "events")]


def _copies(need: Need, found: Found, brokers: int) -> list[Difference]:
    told = []
    copies, in_sync = found.copies, int(found.config.get("min.insync.replicas", "1"))
    wanted = min(COPIES, brokers)
    if copies < wanted:
        remedy = "acknowledged records go with one broker: kafka-reassign-partitions.sh gives it more copies"
        told.append(_differs(need, "copies", copies, f"{wanted} or more", remedy, essential=False))
    if in_sync > copies:
        most = str(max(1, copies - 1))
        told.append(_setting(need, "min.insync.replicas", str(in_sync), most, essential=True))
    elif in_sync == copies > 1:
        told.append(_setting(need, "min.insync.replicas", str(in_sync), str(copies - 1), essential=False))
    elif copies >= COPIES and in_sync < COPIES_IN_SYNC:
        told.append(_setting(need, "min.insync.replicas", str(in_sync), "2", essential=False))
    if found.config.get("unclean.leader.election.enable") == "true":
        told.append(_setting(need, "unclean.leader.election.enable", "true", "false", essential=False))
    return told


def _setting(need: Need, name: str, found: str, wanted: str, *, essential: bool) -> Difference:
    value = wanted.removesuffix(" or more")
    value = f"[{value}]" if "," in value else value
    remedy = f"kafka-configs.sh --alter --topic {need.name} --add-config {name}={value}"
    return _differs(need, name, found, wanted, remedy, essential=essential)


def _differs(
    need: Need, what: str, found: object, wanted: object, remedy: str, *, essential: bool
) -> Difference:
    return Difference(need.name, what, str(found), str(wanted), essential, remedy)
