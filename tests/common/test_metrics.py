# SPDX-License-Identifier: Apache-2.0
import socket

import pytest
from prometheus_client import CollectorRegistry, Counter

from common.errors import ConfigError
from common.health import Health, Pulse
from common.metrics import new_registry, parse_listen, serve_metrics
from support.http import get

WELL = Health(lambda: None, lambda: None)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0"])
def test_metrics_of_the_given_registry_are_served(listen):
    registry = CollectorRegistry()
    Counter("wirelag_events", "Events", registry=registry).inc(3)
    with serve_metrics(registry, listen, WELL) as address:
        status, text = get(address, "/metrics")
    assert status == 200
    assert "wirelag_events_total 3.0" in text
    assert "python_info" not in text  # nothing of the global registry


def test_health_says_what_is_wrong_with_what():
    dead: list[str] = []
    unready: list[str] = []
    health = Health(lambda: next(iter(dead), None), lambda: next(iter(unready), None))
    with serve_metrics(CollectorRegistry(), "127.0.0.1:0", health) as address:

        def answers():
            return [get(address, path) for path in ("/livez", "/readyz", "/healthz")]

        assert answers() == [(200, "ok\n")] * 3
        unready.append("no broker for 60 s")
        assert answers() == [(200, "ok\n"), (503, "no broker for 60 s\n"), (503, "no broker for 60 s\n")]
        unready.clear()
        dead.append("stuck")
        assert answers() == [(503, "stuck\n"), (200, "ok\n"), (503, "stuck\n")]
        assert get(address, "/") == (404, "/metrics, /livez, /readyz, /healthz\n")


def test_a_loop_is_dead_once_its_patience_is_over():
    now = [100.0]
    pulse = Pulse(30.0, lambda: now[0])
    now[0] = 130.0
    assert (pulse.trouble(), pulse.begun) == (None, False)
    now[0] = 131.0
    assert pulse.trouble() == "the loop has not turned for 31 s"
    pulse.beat()
    assert (pulse.trouble(), pulse.begun) == (None, True)


def test_a_new_registry_has_the_process():
    with serve_metrics(new_registry(), "127.0.0.1:0", WELL) as address:
        text = get(address, "/metrics")[1]
    assert "process_resident_memory_bytes " in text
    assert "process_cpu_seconds_total " in text


def test_a_port_alone_is_one_of_loopback():
    assert parse_listen("9464") == ("127.0.0.1", 9464)


def test_port_is_free_again_afterwards():
    with serve_metrics(CollectorRegistry(), "127.0.0.1:0", WELL) as address:
        pass
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def test_port_in_use_is_a_configuration_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(ConfigError, match=f"cannot listen on {listen}"),
            serve_metrics(CollectorRegistry(), listen, WELL),
        ):
            pass


@pytest.mark.parametrize("text", [":9464", "host:", "host:x", "host:65536", "65536", "host", ""])
def test_address_without_port_or_with_an_empty_host_is_refused(text):
    with pytest.raises(ConfigError, match="allowed is host:port"):
        parse_listen(text)
