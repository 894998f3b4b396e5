# SPDX-License-Identifier: Apache-2.0
"""``wirelag-agent run``: builds the parts, starts them in order, turns the loop until told to stop."""

import hashlib
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from agent.about import about
from agent.arrival import Arrival
from agent.brakes.brakes import Brakes, Means
from agent.brakes.budget import SpentFile
from agent.brakes.kernel_time import KernelTime
from agent.brakes.switch import Switch
from agent.clocks import ReadingLog
from agent.control import heartbeat, with_earlier
from agent.delivery.choose import delivery_of
from agent.delivery.kafka import KafkaDelivery
from agent.delivery.orders import Orders
from agent.directory import Directory
from agent.exposed import Exposed
from agent.kernel import runstats
from agent.kernel.capture import Capture, CaptureSettings
from agent.labels import host_labels
from agent.ledger import Ledger
from agent.loop import ENOUGH_RECORDS, Loop, Parts, system_clock
from agent.meter import Meter, cpu_seconds
from agent.pack import Identity, Packer
from agent.report import Figures, Reporter
from agent.settings import AgentSettings, CaptureSection, cgroup_of, namespace_of
from agent.single import only_agent
from agent.spool.record import Run
from common import systemd
from common.config import render
from schemas import control

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LAST_DELIVERY_SECONDS = 10.0
FINAL_SECONDS = 2.0
LONGEST_FLUSH_SECONDS = 0.2
IDLE_FLUSH_SECONDS, IDLE_TURNS = 0.5, 10
"""After so many turns that brought nothing they come less often: a batch may wait twice as long anyway."""
BATCH_EVENTS = 256
"""Slots of one perf record: the more, the less a record costs for each."""
PASSES_PER_AGE = 4
"""How often, within the age that a batch may reach, few events are packed all the same."""

CHANGEABLE = (
    *(
        "brakes.max-cpu-percent",
        "brakes.max-events-per-second",
        "brakes.max-bytes-per-day",
        "brakes.off-file",
    ),
    *("spool.max-bytes", "spool.max-disk-share", "spool.file-bytes", "spool.when-full"),
    *("spool.after", "spool.drain"),
)
"""Settings that `AgentService.change` takes over."""


def capture_settings(section: CaptureSection, left_out: tuple[int, ...] = ()) -> CaptureSettings:
    """Return what the kernel needs to know: names of namespaces and cgroups become inode numbers.

    ``left_out`` are ports to leave out beside those that the section names.

    Raises:
        ConfigError: one of them does not exist or is something else.
    """
    return CaptureSettings(
        ports=section.ports,
        exclude_ports=tuple(sorted({*section.exclude_ports, *left_out})),
        netns=tuple(map(namespace_of, section.netns)),
        cgroups=tuple(map(cgroup_of, section.cgroups)),
        ring_pages=section.ring_pages,
        batch=BATCH_EVENTS,
        backend=section.backend,
        lives=True,
    )


def process_name(pid: int) -> str | None:
    """Return the name of a process of this host, None if it has gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except OSError:
        return None


def make_directory(settings: AgentSettings) -> Directory:
    """Return a directory that knows the labels of all cgroups of now, unless the settings want none."""
    veil = settings.veil()
    if not settings.agent.labels or settings.privacy.labels == "off":
        return Directory(settings.fleet_key(), process_name, veil=veil)
    labels = host_labels(time.monotonic_ns)
    labels.fill()
    return Directory(settings.fleet_key(), process_name, labels.of, veil)


class _Works(NamedTuple):
    """The parts of a run that turn together."""

    loop: Loop
    switch: Switch
    brakes: Brakes
    delivery: KafkaDelivery
    identity: Identity
    arrival: Arrival
    orders: Orders


class AgentService:
    """One agent run. Constructing it touches nothing; ``run`` starts and stops everything."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._log = structlog.get_logger()
        self._beats = 0
        self._clocks = ReadingLog()
        self._about = about(settings)
        self.ledger = Ledger()
        self.exposed = Exposed(settings.service.metrics_listen)
        self._changed: AgentSettings | None = None
        self.audit: Callable[[], None] = lambda: None
        """While it runs: has open connections tell their accounts with their next events."""

    def run(self, stop: threading.Event, *, on_started: Callable[[], None] = lambda: None) -> None:
        """Trace until ``stop`` is set, then deliver what is left; ``on_started`` is called in between.

        Raises:
            WirelagError: the kernel or Kafka cannot be used as the settings say; nothing stays attached.
        """
        with only_agent(self._settings.host(), render(self._settings.capture)), self.exposed.served():
            self._run(stop, on_started)

    def change(self, settings: AgentSettings) -> None:
        """Have the loop take over what of these settings it can while it turns (`CHANGEABLE`); any thread."""
        self._changed = settings

    def _run(self, stop: threading.Event, on_started: Callable[[], None]) -> None:
        settings = self._settings
        identity = Identity(
            settings.host(),
            BOOT_ID.read_text(encoding="ascii").strip(),
            time.time_ns(),
            settings.kafka.shards,
        )
        offset_ns = system_clock().realtime_offset_ns
        delivery = delivery_of(settings.kafka, settings.spool, self.ledger, Run(*identity), offset_ns)
        delivery.begin()
        try:
            with Arrival(settings, delivery, self.exposed) as arrival:
                if arrival.wait(stop):
                    self._trace(arrival, delivery, identity, stop, on_started)
        finally:
            delivery.end()

    def _trace(
        self,
        arrival: Arrival,
        delivery: KafkaDelivery,
        identity: Identity,
        stop: threading.Event,
        on_started: Callable[[], None],
    ) -> None:
        settings, left_out = self._settings, arrival.ports
        directory = make_directory(settings)
        packer = Packer(identity, directory, settings.batch.max_events, settings.batch.max_age.nanoseconds)
        capture = Capture(capture_settings(settings.capture, left_out))
        parts = Parts(capture, directory, packer, delivery, self.ledger)
        loop = Loop(parts, system_clock, settings.batch.max_age.nanoseconds // PASSES_PER_AGE)
        self.audit = loop.audit_soon
        switch = Switch(parts, loop)
        orders = Orders(settings.kafka, identity.host)
        if arrival.open:
            orders.open(delivery.control_partitions)
        brakes = self._brakes(switch, delivery, orders)
        brakes.begin(time.monotonic())
        self._meter = Meter(time.monotonic, cpu_seconds)
        figures = Figures(identity, self.ledger, delivery, self._meter, brakes, left_out)
        self._reporter = Reporter(settings.agent.runtime_dir, figures, time.monotonic_ns)
        more = {"left_out": left_out} if left_out else {}
        said = "tracing" if switch.on else "not tracing"
        self._log.info(said, host=identity.host, shards=identity.shards, key=self._key_id(), **more)
        systemd.notify("READY=1")
        on_started()
        works = _Works(loop, switch, brakes, delivery, identity, arrival, orders)
        try:
            self._turn(works, stop)
        finally:
            systemd.notify("STOPPING=1")
            self._reporter.close()
            self._finish(works)

    def _turn(self, works: "_Works", stop: threading.Event) -> None:
        capture, switch = works.switch.capture, works.switch
        flush = min(self._settings.capture.flush, LONGEST_FLUSH_SECONDS)
        next_beat = next_turn = time.monotonic()
        watchdog = systemd.Watchdog()
        quiet, clients = 0, works.delivery.clients
        while not stop.is_set():
            if switch.on:
                # Returns early where a ring fills up: then turns come as often as the load asks for.
                capture.poll(max(1, math.ceil(1000 * (next_turn - time.monotonic()))))
                now = time.monotonic()
                if now < next_turn and capture.held < ENOUGH_RECORDS:
                    continue
                quiet = 0 if works.loop.turn() else quiet + 1
                idle = IDLE_FLUSH_SECONDS if quiet > IDLE_TURNS else LONGEST_FLUSH_SECONDS
                next_turn = now + (idle if quiet else flush)
            else:
                stop.wait(LONGEST_FLUSH_SECONDS)
                now = time.monotonic()
            works.delivery.poll()
            self._clocks.look(now)
            self.exposed.pulse.beat()
            watchdog.turned(now)
            if works.arrival.poll():
                self._kafka_came(works)
            if works.delivery.clients != clients:
                clients = works.delivery.clients
                works.orders.renew()
            changed, self._changed = self._changed, None
            if changed is not None:
                works.brakes.change(changed.brakes)
                works.delivery.change(changed.spool)
            if works.brakes.tick(now) or now >= next_beat:
                next_beat = now + self._settings.agent.heartbeat
                if switch.on:
                    works.loop.count(capture.counters())
                self.exposed.latest = self._reporter.write()
                self._beat(works, final=False)

    def _kafka_came(self, works: "_Works") -> None:
        """Kafka has answered after the start: listen to orders, and leave its ports out."""
        ports = works.arrival.ports
        self._log.info("Kafka answers, and its topics fit", left_out=ports)
        works.orders.open(works.delivery.control_partitions)
        if set(ports) - set(self._reporter.left_out):
            works.switch.capture.leave_out(ports)
            self._reporter.left_out = ports
            works.brakes.attach_anew("to leave out the ports of Kafka")

    def _finish(self, works: "_Works") -> None:
        delivery = works.delivery
        cost = self._meter.read()
        counters = works.switch.detach()
        left = delivery.close(LAST_DELIVERY_SECONDS, time.monotonic)
        self._beat(works, final=True)
        delivery.close(FINAL_SECONDS, time.monotonic)
        delivery.end()
        works.brakes.close()
        totals = {f"{t.stage}/{t.reason}": t.events for t in self.ledger.totals() if t.events}
        records = {"records": delivery.records, "bytes": delivery.record_bytes, "undelivered": left}
        kernel_ns = counters.run_time_ns if counters else 0
        self._log.info("stopped", **records, totals=totals, kernel_ns=kernel_ns, **cost)

    def _beat(self, works: "_Works", *, final: bool) -> None:
        identity, delivery, standing = works.identity, works.delivery, works.delivery.standing
        now, out, held = system_clock(), delivery.outstanding, works.loop.oldest_ns
        beat = heartbeat(identity, self._beats, now, self.ledger, out, held_ns=held, final=final)
        told = self._about.on(
            works.brakes.standing.on(with_earlier(beat, None if standing is None else standing.earlier_ns)),
            backend=works.switch.capture.means,
            spool=standing,
            now_ns=beat.sent_at_ns,
            left=delivery.left,
            readings=self._clocks.tell(),
        )
        self._beats += 1
        taken = self._clocks.report(told.readings)
        delivery.send_control(identity.host.encode(), control.encode(told), taken)

    def _brakes(self, switch: Switch, delivery: KafkaDelivery, orders: Orders) -> Brakes:
        settings = self._settings
        kernel_time = KernelTime(runstats.enable)
        spent = SpentFile(self._state_folder() / f"bytes-{self._name()}.json")
        return Brakes(settings.brakes, Means(switch, orders, delivery, cpu_seconds, kernel_time, spent))

    def _state_folder(self) -> Path:
        """Return where what outlives the process is kept: where systemd says, else in the runtime folder."""
        return Path(os.environ.get("STATE_DIRECTORY", "") or self._settings.agent.runtime_dir)

    def _name(self) -> str:
        """Return a file name of this agent's own: another may trace something else on this host."""
        text = f"{self._settings.host()}/{render(self._settings.capture)}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def _key_id(self) -> str:
        """Return a name of the fleet key that hosts can compare, and that tells nothing of it."""
        if self._settings.agent.fleet_key_file is None:
            return "fixed"
        return hashlib.blake2b(
            self._settings.fleet_key(), digest_size=4, person=b"wirelag-key-id"
        ).hexdigest()
