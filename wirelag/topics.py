# SPDX-License-Identifier: Apache-2.0
"""``wirelag topics``: make the four topics, say in what those that are there differ, who needs which rights.

Changes and deletes nothing that is there. Exit 1: something essential differs.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from common.errors import ConfigError, RuntimeFailure
from wirelag.control import NO_KAFKA, Kafka
from wirelag.options import JsonLines, settings_of

if TYPE_CHECKING:
    from common.units import Duration
    from consumer.settings import ConsumerSettings
    from wirelag.kafka_admin import Admin
    from wirelag.topic_needs import Difference, Need

app = App(name="topics")
Principals = Annotated[tuple[str, ...], Parameter(negative="", help="such as User:web-1; may be repeated")]


@app.command
def create(
    *,
    replicas: Annotated[
        int, Parameter("--replicas", help="copies of each partition; 0: 3, or one a broker")
    ] = 0,
    min_isr: Annotated[
        int, Parameter("--min-isr", help="copies that acknowledge a record; 0: 2 of 3 or more, else 1")
    ] = 0,
    retention: Annotated[str, Parameter("--retention", help="how long events are kept")] = "3d",
    kafka: Kafka = NO_KAFKA,
) -> None:
    """Make the topics that are missing, and say in what those that are there differ.

    For example:

    wirelag topics create --bootstrap kafka1:9092 --set kafka.shards=48

    Args:
        replicas: more of them survive more broken disks.
        min_isr: with less than that many copies in sync nothing is taken.
        retention: longer than any outage of the consumers.
        kafka: where it is, and what the topics are called.
    """
    from wirelag.kafka_admin import Admin
    from wirelag.topic_needs import COPIES, COPIES_IN_SYNC, needs

    settings = _settings(kafka)
    admin = Admin(settings.kafka)
    wanted = needs(settings.kafka, _duration(retention))
    copies = replicas or min(COPIES, admin.brokers())
    in_sync = min_isr or (COPIES_IN_SYNC if copies >= COPIES else 1)
    if not 1 <= in_sync <= copies:
        raise ConfigError(f"--min-isr: found {in_sync}; allowed is 1 to {copies}, the number of copies")
    new = admin.create(wanted, copies, {"min.insync.replicas": str(in_sync)})
    told = _told(admin, wanted)
    for one in wanted:
        print(f"{one.name}: {_made(one, copies, in_sync) if new[one.name] else 'already there'}")
        _print_all(told[one.name])
    _require_good(told.values())


@app.command
def check(*, json: JsonLines = False, kafka: Kafka = NO_KAFKA) -> None:
    """Say in what the topics differ from what wirelag needs, and how the consumer's lag stands.

    Args:
        json: for programs.
        kafka: where it is, and what the topics are called.
    """
    from wirelag.kafka_admin import Admin
    from wirelag.output import write_json
    from wirelag.topic_needs import needs

    settings = _settings(kafka)
    admin = Admin(settings.kafka)
    wanted = needs(settings.kafka)
    told = _told(admin, wanted)
    told[settings.kafka.events_topic] += _lag(admin, settings)
    if json:
        write_json(
            {"topic": name, "good": not found, "differences": [one._asdict() for one in found]}
            for name, found in told.items()
        )
    else:
        for name, found in told.items():
            print(f"{name}: {'differs' if found else 'good'}")
            _print_all(found)
    _require_good(told.values())


@app.command
def acl(
    *,
    agent: Principals = ("User:wirelag-agent",),
    consumer: Principals = ("User:wirelag-consumer",),
    reader: Principals = (),
    operator: Principals = (),
    kafka: Kafka = NO_KAFKA,
) -> None:
    """Print the commands that give each principal the rights it needs, and no more. Asks and changes nothing.

    For example:

    wirelag topics acl --agent User:web-1 --agent User:web-2 --consumer User:lake --operator User:ada

    Args:
        agent: one of each host, if hosts have their own.
        consumer: of `wirelag consume`.
        reader: of programs that read latencies.
        operator: of whoever gives orders to agents.
        kafka: where it is, and what the topics are called.
    """
    from wirelag.rights import command, rights

    settings = _settings(kafka)
    by_role = {"agent": agent, "consumer": consumer, "reader": reader, "operator": operator}
    for role, needed in rights(settings.kafka, settings.consumer.group).items():
        for principal in by_role[role]:
            print(f"# {role} {principal}")
            for right in needed:
                print(f"# {right.why}{' (can be left out)' if right.optional else ''}")
                print(command(right, principal, settings.kafka.bootstrap_servers))


def _told(admin: "Admin", wanted: Sequence["Need"]) -> dict[str, list["Difference"]]:
    from wirelag.topic_needs import differences

    brokers = admin.brokers()
    found = admin.describe([one.name for one in wanted])
    return {one.name: differences(one, found[one.name], brokers) for one in wanted}


def _lag(admin: "Admin", settings: "ConsumerSettings") -> list["Difference"]:
    """Return where the consumers' group lags by more than half of what the events topic keeps."""
    from wirelag.topic_needs import Difference

    topic, group = settings.kafka.events_topic, settings.consumer.group
    found = admin.describe([topic])[topic]
    if found is None:
        return []
    keep_ms = int(found.config.get("retention.ms", "-1"))
    places = admin.places(group, topic, found.partitions, keep_ms)
    remedy = "add consumers, or have the topic keep more (retention.ms)"
    gone = sum(place.low - place.at for place in places.values() if place.at < place.low)
    late = [n for n, place in places.items() if place.low <= place.at < min(place.half, place.high)]
    told = []
    if gone:
        text = f"{gone} records deleted before group {group} read them"
        told.append(Difference(topic, "lag", text, "none", essential=True, remedy=remedy))
    if late:
        text = f"group {group} lags by more than half of retention.ms in {len(late)} partitions"
        told.append(Difference(topic, "lag", text, "less", essential=False, remedy=remedy))
    return told


def _made(need: "Need", copies: int, in_sync: int) -> str:
    from common.units import Duration

    kept = Duration(int(need.config["retention.ms"]) / 1000)
    words = f"{need.config['cleanup.policy']} after {kept}"
    return f"created, {need.partitions} partitions, {copies} copies ({in_sync} in sync), {words}"


def _print_all(found: Iterable["Difference"]) -> None:
    for one in found:
        weight = "essential" if one.essential else "advice"
        print(f"  {weight}: {one.what} is {one.found}, wanted is {one.wanted}\n    {one.remedy}")


def _require_good(found: Iterable[Iterable["Difference"]]) -> None:
    bad = sum(any(one.essential for one in some) for some in found)
    if bad:
        sys.stdout.flush()
        raise RuntimeFailure(f"{bad} of the topics differ in something essential")


def _duration(text: str) -> "Duration":
    from common.units import Duration, UnitError

    try:
        return Duration.parse(text)
    except UnitError as error:
        raise ConfigError(f"--retention: {error}") from error


def _settings(kafka: Kafka) -> "ConsumerSettings":
    return settings_of(kafka.config, kafka.set_, "kafka.bootstrap-servers", kafka.bootstrap)
