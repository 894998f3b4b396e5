# SPDX-License-Identifier: Apache-2.0
"""What a consumer shows over HTTP while it runs: metrics, whether it lives, whether it is ready."""

import re
import socket
import threading
import time
import urllib.error
from pathlib import Path

import pytest
from confluent_kafka import Producer

from common.config import load
from common.errors import ConfigError
from common.health import Pulse
from common.metrics import serve_metrics
from consumer.cli import health_of, run
from consumer.settings import ConsumerSettings
from demo.broker import SHARDS, InProcessBroker
from support.batches import Fleet
from support.fake_service import Bench
from support.http import get


def test_a_failed_cycle_is_not_ready_and_the_next_good_one_is(bench: Bench) -> None:
    pulse = Pulse(300.0)
    with serve_metrics(bench.registry, "127.0.0.1:0", health_of(bench.service, pulse)) as address:
        assert get(address, "/readyz") == (503, "not begun yet\n")
        pulse.beat()
        assert get(address, "/readyz") == (200, "ok\n")
        bench.lake.fail = ["before"]
        bench.kafka.records = [b"x"] * 6
        bench.turn(5)
        code, why = get(address, "/readyz")
        assert (code, why) == (503, f"{bench.service.trouble}\n")
        assert get(address, "/livez") == (200, "ok\n")
        bench.turn(10)
        assert get(address, "/readyz") == (200, "ok\n")


def test_a_running_consumer_answers(tmp_path: Path) -> None:
    broker, fleet, answers = InProcessBroker(), Fleet(shards=SHARDS), []
    producer = Producer({"bootstrap.servers": broker.address, "log_level": 0})
    sent = list(fleet.talk(20))
    for partition, value in sent:
        producer.produce("wirelag.events.v1", value=value, partition=partition)
    assert producer.flush(60) == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = [
        f"kafka.bootstrap-servers={broker.address}",
        f"kafka.shards={SHARDS}",
        f"lake.uri={tmp_path}/lake",
        "consumer.cycle=100ms",
        f"service.metrics-listen={port}",
    ]
    stop = threading.Event()

    def ask() -> None:
        try:
            answers.append(_until(("127.0.0.1", port), len(sent)))
            answers.extend(get(("127.0.0.1", port), path) for path in ("/livez", "/readyz", "/healthz"))
        finally:
            stop.set()

    asker = threading.Thread(target=ask)
    asker.start()
    totals = run(load(ConsumerSettings, overrides=told), stop, until_end=False)
    asker.join()
    text, *health = answers
    assert health == [(200, "ok\n")] * 3
    assert _records(text) == totals.records == len(sent)
    assert "process_resident_memory_bytes " in text


def test_a_port_that_is_taken_ends_the_consumer_before_it_reads(tmp_path: Path) -> None:
    broker = InProcessBroker()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = [
            f"kafka.bootstrap-servers={broker.address}",
            f"kafka.shards={SHARDS}",
            f"lake.uri={tmp_path}/lake",
            f"service.metrics-listen={taken.getsockname()[1]}",
        ]
        with pytest.raises(ConfigError, match="cannot listen"):
            run(load(ConsumerSettings, overrides=told), threading.Event(), until_end=False)


def _until(address: tuple[str, int], records: int) -> str:
    deadline = time.monotonic() + 60
    while True:
        try:
            text = get(address, "/metrics")[1]
        except urllib.error.URLError:
            text = ""  # it does not listen yet
        if _records(text) >= records:
            return text
        assert time.monotonic() < deadline, text
        time.sleep(0.02)


def _records(text: str) -> float:
    found = re.findall(
        r'^wirelag_consumer_records_total\{topic="wirelag.events.v1"\} (\S+)$', text, re.MULTILINE
    )
    return sum(map(float, found))
