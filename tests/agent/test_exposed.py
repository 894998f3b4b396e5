# SPDX-License-Identifier: Apache-2.0
"""What an agent shows over HTTP: its status as metrics, whether it lives, whether it is ready."""

import re
import subprocess
import sys
import threading
import time

import msgspec
import pytest

from agent.exposed import Exposed, unready
from agent.settings import AgentSettings, BatchSection, CaptureSection, HostSection
from agent.status import Status
from common.errors import ConfigError
from common.kafka import KafkaSettings
from common.service import ServiceSettings
from common.units import Duration
from demo.broker import SHARDS, InProcessBroker
from deploy.metrics_page import example
from support import traffic
from support.house import ROOT
from support.http import get
from support.netns import VethPair
from support.worker import Worker

SECOND = 10**9


def status(**changed) -> Status:
    return msgspec.structs.replace(example(), **changed)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, None),
        ({"state": "stopped", "why": "file /etc/wirelag/off: incident"}, None),
        (
            {"state": "stopped", "why": "cannot attach: no memory; again after 60 s"},
            "cannot attach: no memory",
        ),
        ({"oldest_undelivered_seconds": 0.5, "last_delivery_ns": None}, "waited for 0 s"),
        ({"oldest_undelivered_seconds": 31.0, "last_error": "broker down"}, "waited for 31 s: broker down"),
        ({"oldest_undelivered_seconds": 31.0, "last_delivery_ns": 99 * SECOND}, None),
        ({"oldest_undelivered_seconds": 1.0}, None),
    ],
)
def test_ready_is_attached_or_stopped_on_purpose_and_kafka_acknowledging(changed, why):
    found = unready(status(monotonic_ns=100 * SECOND, **changed))
    assert (found is None) == (why is None)
    assert why is None or (found and why in found)


def test_not_ready_before_the_first_heartbeat_and_metrics_are_the_status_after_it():
    exposed = Exposed("127.0.0.1:0")
    with exposed.served():
        assert exposed.address
        assert get(exposed.address, "/readyz") == (503, "not begun yet\n")
        assert get(exposed.address, "/livez") == (200, "ok\n")
        assert "wirelag_agent_events" not in get(exposed.address, "/metrics")[1]
        exposed.latest = status(
            events=10,
            sampled=2,
            delivered=5,
            lost={"queue/full": 3},
            connection_rate=16384,
            kernel_us_per_event=None,
            oldest_undelivered_seconds=1.5,
        )
        assert get(exposed.address, "/readyz") == (200, "ok\n")
        text = get(exposed.address, "/metrics")[1]
    lines = text.splitlines()
    assert 'wirelag_agent_events_total{reason="attempted",stage="kernel"} 10.0' in lines
    assert _events(text) == {
        ("kernel", "attempted"): 10,
        ("kernel", "sampled"): 2,
        ("kafka", "delivered"): 5,
        ("queue", "full"): 3,
    }
    assert 'wirelag_agent_events_total{reason="full",stage="queue"} 3.0' in lines
    assert "wirelag_agent_kept_connections_ratio 0.25" in lines
    assert "wirelag_agent_oldest_undelivered_seconds 1.5" in lines
    assert "wirelag_agent_bpf_seconds_per_event" not in text  # not measured
    assert "process_resident_memory_bytes" in text


def test_a_port_that_is_taken_is_a_configuration_error():
    first = Exposed("127.0.0.1:0")
    with first.served():
        assert first.address
        with pytest.raises(ConfigError, match="cannot listen"), Exposed(str(first.address[1])).served():
            pass


def test_an_agent_without_metrics_does_not_load_their_client():
    code = (
        "import sys, agent.service\n"
        "from agent.exposed import Exposed\n"
        "with Exposed('').served(): print([m for m in sys.modules if 'prometheus' in m])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout == "[]\n"


@pytest.mark.kernel
def test_a_running_agent_answers_and_its_metrics_add_up(tmp_path):
    from agent.service import AgentService  # noqa: PLC0415 - loads BCC

    broker, seen = InProcessBroker(), []
    with VethPair() as network, Worker() as worker:
        service = AgentService(
            AgentSettings(
                agent=HostSection(host_name="alpha", runtime_dir=tmp_path / "run", heartbeat=Duration(0.05)),
                capture=CaptureSection(netns=tuple(str(host.inode) for host in network.hosts)),
                batch=BatchSection(max_age=Duration(0.1)),
                kafka=KafkaSettings(bootstrap_servers=broker.address, shards=SHARDS),
                service=ServiceSettings(metrics_listen="127.0.0.1:0"),
            )
        )
        stop = threading.Event()

        def ask() -> None:
            try:
                worker.run(traffic.echo, network, 10, 100)
                seen.append(_until(service.exposed.address, "kafka", "delivered", 60))
                seen.extend(get(service.exposed.address, path) for path in ("/livez", "/readyz", "/healthz"))
            finally:
                stop.set()

        asker = threading.Thread(target=ask)
        service.run(stop, on_started=asker.start)
        asker.join()
    text, *health = seen
    assert health == [(200, "ok\n")] * 3
    events = {key: n for key, n in _events(text).items() if n}
    assert events["kernel", "attempted"] == events["kafka", "delivered"] + _value(
        text, "wirelag_agent_in_flight_events"
    )
    assert _value(text, "wirelag_agent_attached") == 1
    assert _value(text, "wirelag_agent_delivered_records_total") >= 1
    assert _value(text, "process_cpu_seconds_total") > 0


def _until(address: tuple[str, int], stage: str, reason: str, least: int) -> str:
    deadline = time.monotonic() + 60
    while True:
        text = get(address, "/metrics")[1]
        if _events(text).get((stage, reason), 0) >= least:
            return text
        assert time.monotonic() < deadline, text
        time.sleep(0.02)


def _events(text: str) -> dict[tuple[str, str], float]:
    found = re.findall(
        r'^wirelag_agent_events_total\{reason="(.*)",stage="(.*)"\} (\S+)$', text, re.MULTILINE
    )
    return {(stage, reason): float(n) for reason, stage, n in found}


def _value(text: str, name: str) -> float:
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])
