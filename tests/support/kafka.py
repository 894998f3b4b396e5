# SPDX-License-Identifier: Apache-2.0
"""A real Apache Kafka of one process, for tests and for `make kafka`.

It listens on two free ports of 127.0.0.1, keeps everything in one folder, and never outlives the thread that
started it: the kernel kills it when that thread is gone, whatever else fails.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

ROOT = Path(__file__).resolve().parents[2]
LIBS = ROOT / ".cache" / "kafka" / "libs"
LOGGING = ROOT / "deploy" / "kafka" / "log4j2.properties"

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_PROBE_SECONDS = 0.05
_LOG_LINES = 25

# A client that asks before the broker listens asks again soon.
QUICK = {
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 200,
    "log_level": 0,
}


class KafkaNodeError(Exception):
    """Kafka could not be started, with the end of its log."""


class KafkaNode:
    """One broker, its own controller. Inert until `start`; records survive `stop`, `kill` and `restart`."""

    def __init__(
        self,
        home: Path,
        *,
        port: int = 0,
        heap: str = "512m",
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        machine: Sequence[str] = (),
        libs: Path = LIBS,
    ) -> None:
        """Prepare a node that keeps all it has below `home`.

        Args:
            home: made if missing.
            port: of the broker, any free one when 0.
            heap: of the Java machine.
            properties: over those of `_properties`.
            listeners: more of them, name -> protocol, such as `SSL`; see `address`.
            machine: options of the Java machine.
            libs: the folder with Kafka's jars.
        """
        self.home = home
        self.log = home / "kafka.log"
        self._libs = libs
        self._heap = heap
        self._extra = dict(properties or {})
        self._machine = tuple(machine)
        self._protocols = dict(listeners or {})
        self._broker_port = _Port(port)
        self._ports = {name: _Port(0) for name in self._protocols}
        self._controller_port = _Port(0)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The broker's address; the same for the node's whole life."""
        return f"127.0.0.1:{self._broker_port.number}"

    def address(self, listener: str) -> str:
        """Where one of the further listeners is."""
        return f"127.0.0.1:{self._ports[listener].number}"

    @property
    def controller(self) -> int:
        """The port of its controller, at which it talks to itself."""
        return self._controller_port.number

    @property
    def pid(self) -> int:
        """The id of the running process."""
        if self._process is None:
            raise KafkaNodeError("Kafka is not running")
        return self._process.pid

    def start(self) -> Self:
        """Start it and return once it answers a client.

        Raises:
            KafkaNodeError: it ended, or did not answer in time; with the end of its log.
        """
        if self._process is not None:
            raise KafkaNodeError(f"Kafka is running already, pid {self._process.pid}")
        java = self._java()
        self._configure()
        if not (self.home / "data" / "meta.properties").exists():
            self._format(java)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*java, f"-Xmx{self._heap}", "kafka.Kafka", str(self.home / "server.properties")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                start_new_session=True,
            )
        try:
            self._wait_for_answer()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """End it in order: it hands over and closes its logs. Does nothing when it is not running."""
        if self._process is not None:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)  # a suspended one would not hear the first
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL). Does nothing when it is not running."""
        if self._process is not None:
            self._process.kill()
        self._reap()

    def restart(self) -> None:
        """Stop it in order and start it again, at the same address with the same records."""
        self.stop()
        self.start()

    def suspend(self) -> None:
        """Let it hang: connections stay, nothing is answered."""
        self._signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)  # each of its threads may run a moment longer

    def resume(self) -> None:
        """Let it go on after `suspend`."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop it for good and give its ports back."""
        self.stop()
        for port in (self._broker_port, self._controller_port, *self._ports.values()):
            port.release()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise KafkaNodeError("Kafka is not running")
        self._process.send_signal(number)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None

    def _java(self) -> list[str]:
        """The start of a command: Java with Kafka's classes, bound to the life of this thread."""
        missing = [name for name in ("java", "setpriv") if shutil.which(name) is None]
        if missing or not any(self._libs.glob("kafka_*.jar")):
            raise KafkaNodeError(f"no {', '.join(missing) or 'Kafka'} here; run scripts/setup --kafka")
        bound = ["setpriv", "--pdeathsig", "KILL", "--"]
        machine = ["-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"]
        logging = f"-Dlog4j2.configurationFile={LOGGING}"
        return [*bound, "java", *machine, *self._machine, logging, "-cp", f"{self._libs}/*"]

    def _configure(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        lines = [f"{key}={value}\n" for key, value in self._properties().items()]
        (self.home / "server.properties").write_text("".join(lines))

    def _format(self, java: list[str]) -> None:
        # 6 bits are 0 so that the id does not begin with "-", which the tool would take for an option.
        cluster = urlsafe_b64encode(bytes(1) + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        command = [
            *java,
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster,
            "-c",
            str(self.home / "server.properties"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_START_SECONDS, check=False)
        if done.returncode != 0:
            raise KafkaNodeError(f"Kafka's storage could not be made:\n{done.stdout}{done.stderr}")

    def _properties(self) -> dict[str, str]:
        controller = f"127.0.0.1:{self._controller_port.number}"
        open_to = ",".join(
            [f"PLAINTEXT://{self.bootstrap}", *(f"{n}://{self.address(n)}" for n in self._ports)]
        )
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"} | self._protocols
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{open_to},CONTROLLER://{controller}",
            "advertised.listeners": open_to,
            "listener.security.protocol.map": ",".join(f"{n}:{p}" for n, p in protocols.items()),
            "log.dirs": str(self.home / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # After a kill the controller lets the broker in again only when its old session has ended
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            # Of the newer group protocol: who was killed is missed soon
            "group.consumer.min.session.timeout.ms": "1000",
            "group.consumer.session.timeout.ms": "3000",
            "group.consumer.min.heartbeat.interval.ms": "100",
            "group.consumer.heartbeat.interval.ms": "500",
            "auto.create.topics.enable": "false",
            **self._extra,
        }

    def _wait_for_answer(self) -> None:
        """Return once metadata is answered; raise KafkaNodeError when the process ends or time is up."""
        process, deadline = self._process, time.monotonic() + _START_SECONDS
        admin = AdminClient({"bootstrap.servers": self.bootstrap, **QUICK})
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            try:
                if self._listens() and admin.list_topics(timeout=2).brokers:
                    return
            except KafkaException:
                pass  # it listens, but cannot answer yet
            time.sleep(_PROBE_SECONDS)
        ended = process is None or process.poll() is not None
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        raise KafkaNodeError(
            f"Kafka {'ended' if ended else 'does not answer'}; the end of {self.log}:\n{tail}"
        )

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._broker_port.number), timeout=1).close()
        except OSError:
            return False
        return True


class _Port:
    """A free port of 127.0.0.1 that nobody else is given, though a server may listen on it.

    A bound socket that does not listen keeps the number from being handed out; SO_REUSEADDR on both sides
    lets the server bind it all the same.
    """

    def __init__(self, number: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", number))
        except OSError as error:
            self._socket.close()
            raise KafkaNodeError(f"port {number} of 127.0.0.1: {error.strerror}") from error
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> None:
        self._socket.close()
