# SPDX-License-Identifier: Apache-2.0
"""`wirelag consume`: the only place that builds the consumer's parts and joins them.

Returns when told to stop or at the end; errors leave as WirelagError, for the command line to turn into exit
codes.
"""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from common.config import load
from common.health import Health, Pulse
from common.heap import keep_freed
from common.log import setup_logging
from common.metrics import new_registry, served
from common.reload import Reloader, logging_of
from common.service import stop_on_signals
from common.systemd import notify, watchdog_interval
from common.throttle import Throttle
from consumer.engine import ControlEngine, EngineSettings, EventEngine
from consumer.owners import read_owners
from consumer.pipeline.cycle import Cycle
from consumer.pipeline.metrics import Metrics, Totals
from consumer.pipeline.owned import MakeEngine, Owned, Rules
from consumer.pipeline.peers import PeerWatch
from consumer.pipeline.service import Pace, Service
from consumer.pipeline.watch import Watch
from consumer.pipeline.watermarks import Patience, Watermarks
from consumer.pipeline.work import Engine
from consumer.publish.kafka import Sender
from consumer.rollup.beside import beside
from consumer.rollup.metrics import Metrics as RollupMetrics
from consumer.rollup.told import Order
from consumer.settings import ENV_PREFIX, ConsumerSettings
from consumer.source.kafka import KafkaSource
from consumer.source.lag import KafkaLag
from consumer.source.topics import Partition
from lake.facts import Facts

OpenLake = Callable[[ConsumerSettings], Facts]
MOST_FAILURES = 5
"""Cycles that may fail in a row before `--until-end` gives up."""
SLACK = 4
"""A host that is behind by less than this part of the horizon is in time."""
PATIENCE_SECONDS = 300.0
"""Without a turn of the loop, which a slow commit keeps waiting; systemd's watchdog waits as long."""


def consume(config: Path | None = None, set_: Sequence[str] = (), *, until_end: bool = False) -> None:
    """Turn records into rows of the lake: until a signal comes, or with `until_end` to the present end.

    Args:
        config: a TOML file (`consumer/settings.py` says what can be in it).
        set_: texts such as `kafka.shards=24`, over the file and over `WIRELAG_CONSUMER__KAFKA__SHARDS`.
        until_end: read all partitions, in no group, to their present ends; close what is open; print a line.

    Raises:
        ConfigError: something is for a person to mend (exit 2); nothing wrong was committed.
        RuntimeFailure: something outside failed (exit 1); the next start goes on from the lake.
    """
    read = partial(load, ConsumerSettings, config, env_prefix=ENV_PREFIX, overrides=set_)
    settings = read()
    setup_logging(settings.service.log_format, settings.service.log_level, service="consumer")
    reload = Reloader(settings, read, logging_of("consumer", lambda new: new.service))
    with stop_on_signals(reload if config else None) as stop:
        totals = run(settings, stop, until_end=until_end)
    if until_end:
        sys.stdout.write(summary(totals, settings.lake.uri) + "\n")


def open_lake(settings: ConsumerSettings) -> Facts:
    """Open the lake of the settings, or make it."""
    return Facts.open(settings.lake.uri, storage_options=settings.lake.storage_options)


def run(
    settings: ConsumerSettings,
    stop: threading.Event,
    *,
    until_end: bool,
    lake: OpenLake = open_lake,
) -> Totals:
    """Build the consumer, run it until `stop` is set or the end is reached, return what it committed."""
    keep_freed()
    registry = new_registry()
    metrics = Metrics(registry)
    reader, beats = _source(settings), _source(settings, alone=True)
    pulse = Pulse(PATIENCE_SECONDS)
    try:
        service = _service(settings, stop, metrics, reader, lake(settings), until_end=until_end)
        service.alive = _alive(pulse)
        service.peers = _peers(settings, beats)
        rounds = beside(_rounds(settings, until_end=until_end), RollupMetrics(registry))
        with served(registry, settings.service.metrics_listen, health_of(service, pulse)), rounds:
            notify("READY=1")
            service.until_end() if until_end else service.follow()
            notify("STOPPING=1")
    finally:
        reader.close()
        beats.close()
    return metrics.totals


def summary(totals: Totals, uri: str) -> str:
    """Return the line that `--until-end` prints."""
    return (
        f"{totals.records:,} records, {totals.events:,} events, {totals.rows['match']:,} matches, "
        f"{totals.rows['unmatched']:,} unmatched, {totals.duplicates:,} duplicates, {totals.poison:,} poison "
        f"-> {uri}"
    )


def engines(settings: ConsumerSettings) -> MakeEngine:
    """Return what makes the engine of a partition."""
    own = settings.consumer
    tuned = EngineSettings(
        tick_ms=round(own.tick * 1000),
        horizon_ms=round(own.horizon * 1000),
        window_ns=own.window.nanoseconds,
        match_rows=own.match_rows and max(1, round(own.match_rows * own.tick)),
        edge_names=own.edge_name,
        owners=read_owners(own.owners_file) if own.owners_file else (),
    )

    def make(partition: Partition, state: bytes | None) -> Engine:
        kind = ControlEngine if partition.topic == settings.kafka.control_topic else EventEngine
        if state is None:
            return kind(partition.number, tuned)
        return kind.restore(state, partition.number, tuned)

    return make


def _source(settings: ConsumerSettings, *, alone: bool = False) -> KafkaSource:
    """Return a reader: a member of the group, or one ``alone`` that is given its partitions."""
    own, kafka = settings.consumer, settings.kafka
    member = "" if alone else own.instance_id
    return KafkaSource(kafka.consumer(own.group, member=member, protocol=own.group_protocol), kafka.client())


def _peers(settings: ConsumerSettings, beats: KafkaSource) -> PeerWatch:
    own, kafka = settings.consumer, settings.kafka
    patience = Patience(
        round(own.horizon * 1000) // SLACK, round(own.peer_silence * 1000), round(own.peer_wait * 1000)
    )
    return PeerWatch(
        beats, kafka.events_topic, kafka.control_topic, Watermarks(patience), round(own.tick * 1000)
    )


def _service(
    settings: ConsumerSettings,
    stop: threading.Event,
    metrics: Metrics,
    reader: KafkaSource,
    lake: Facts,
    *,
    until_end: bool,
) -> Service:
    own, kafka = settings.consumer, settings.kafka
    latency_topic = kafka.latency_topic if own.publish else ""
    outputs = tuple(filter(None, (kafka.poison_topic, latency_topic)))
    rules = Rules(
        kafka.events_topic,
        kafka.control_topic,
        kafka.shards,
        own.accept_new_topic,
        own.on_truncated,
        outputs,
    )
    owned = Owned(reader, lake, engines(settings), rules)
    cycle = Cycle(
        lake=lake,
        sender=Sender(kafka.producer()),
        marker=reader,
        metrics=metrics,
        check_unchanged=owned.check_unchanged,
        poison_topic=kafka.poison_topic,
        latency_topic=latency_topic,
        throttle=Throttle(),
    )
    pace = Pace(
        own.cycle, own.cycle_bytes, own.idle_flush, own.poll_records, MOST_FAILURES if until_end else None
    )
    watch = Watch(KafkaLag(kafka.client()), metrics, owned.check_unchanged, own.idle_flush)
    return Service(reader, owned, cycle, metrics, pace, stop, lambda: None, watch)


def health_of(service: Service, pulse: Pulse) -> Health:
    """Return when a consumer lives (its loop turns) and is ready (it has begun, the last cycle went well)."""
    return Health(pulse.trouble, lambda: service.trouble if pulse.begun else "not begun yet")


def _rounds(settings: ConsumerSettings, *, until_end: bool) -> Order:
    """Return what is to be rolled up beside the consumer: nothing by one that only reads to the end."""
    own, lake = settings.consumer, settings.lake
    behind, longest = own.rollup.waits(own.horizon, own.peer_wait)
    every = 0.0 if until_end else float(own.rollup.every)
    return Order(lake.uri, lake.storage_options, behind, longest, every)


def _alive(pulse: Pulse) -> Callable[[], None]:
    """Return what tells `/livez` and systemd's watchdog that the loop turns."""
    interval = watchdog_interval()
    last = time.monotonic()

    def alive() -> None:
        nonlocal last
        pulse.beat()
        if interval is not None and time.monotonic() - last >= interval:
            last = time.monotonic()
            notify("WATCHDOG=1")

    return alive
