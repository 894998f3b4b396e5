# SPDX-License-Identifier: Apache-2.0
"""Kafka may come later than the agent: what is done before it answers, and once when it does.

With a spool the agent traces meanwhile, and what it sees waits there; nothing is sent before the topics were
found to fit. Without a spool it waits, lives, and says for what.
"""

import threading
import time
from typing import Self

import structlog

from agent.brokers import is_local, ports_left_out
from agent.delivery.gate import Gate
from agent.delivery.kafka import KafkaDelivery
from agent.exposed import Exposed
from agent.settings import AgentSettings, CaptureSection, namespace_of
from common import systemd

START_SECONDS = 3.0
"""How long Kafka may take for an answer until the agent starts without it."""
TURN_SECONDS = 0.05


def brokers_ports(section: CaptureSection, delivery: KafkaDelivery) -> tuple[int, ...]:
    """Return the ports of Kafka that are not traced here, of its brokers as far as they are known."""
    netns = tuple(map(namespace_of, section.netns))
    return ports_left_out(section.exclude_brokers, delivery.brokers, netns, is_local)


class Arrival:
    """Use it in a with block, which ends the question."""

    def __init__(self, settings: AgentSettings, delivery: KafkaDelivery, exposed: Exposed) -> None:
        self._settings = settings
        self._delivery = delivery
        self._exposed = exposed
        self._known: tuple[int, ...] = ()
        self._gate = Gate(self._ask)
        self._log = structlog.get_logger()
        self.open = False
        """Kafka has answered, and the topics fit."""
        self.ports: tuple[int, ...] = ()
        """Of Kafka, that are not to be traced; of the bootstrap servers until it has answered."""

    def __enter__(self) -> Self:
        self._delivery.paused = True
        self._gate.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.__exit__(None, None, None)

    def wait(self, stop: threading.Event) -> bool:
        """Return once there is something to do: Kafka has answered, or the spool is to bridge it.

        Says False where there will not be: ``stop`` was set meanwhile.

        Raises:
            ConfigError: the topics are not those of the settings.
        """
        patience = time.monotonic() + START_SECONDS
        told, watchdog = False, systemd.Watchdog()
        while not (stop.is_set() or self.poll()):
            self._delivery.poll()  # it tells why there is no answer
            self._exposed.pulse.beat()
            if time.monotonic() > patience and not told:
                told = True
                if self._delivery.standing is not None:
                    self._log.warning("tracing without Kafka: the spool keeps what is seen until it answers")
                    break
                self._log.warning("waiting for Kafka: there is no spool that could bridge it (spool.path)")
                systemd.notify("READY=1\nSTATUS=waiting for Kafka")
            watchdog.turned(time.monotonic())
            stop.wait(TURN_SECONDS)
        if not self.open:
            self.ports = brokers_ports(self._settings.capture, self._delivery)
        return self.open or not stop.is_set()

    def poll(self) -> bool:
        """Say, once, that Kafka has answered; from then on records go there.

        Raises:
            ConfigError: the topics are not those of the settings.
        """
        if self.open:
            return False
        self.open = self._gate.is_open()
        why = self._gate.why or self._delivery.last_error or "it was asked a moment ago"
        self._exposed.waiting = "" if self.open else f"Kafka has not answered yet: {why}"
        if self.open:
            self.ports = self._known
            self._delivery.resume()
        return self.open

    def _ask(self, seconds: float) -> None:
        """Runs in the gate's thread, since names are resolved here."""
        self._delivery.check_topic(seconds)
        self._known = brokers_ports(self._settings.capture, self._delivery)
