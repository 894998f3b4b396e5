# SPDX-License-Identifier: Apache-2.0
import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from common.errors import ConfigError
from common.metrics import parse_listen, serve_metrics


def get(address: tuple[str, int], path: str) -> tuple[int, str]:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    try:
        with urllib.request.urlopen(f"http://{host}:{address[1]}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0"])
def test_metrics_of_the_given_registry_are_served(listen):
    registry = CollectorRegistry()
    Counter("wirelag_events", "Events", registry=registry).inc(3)
    with serve_metrics(registry, listen, lambda: None) as address:
        status, text = get(address, "/metrics")
    assert status == 200
    assert "wirelag_events_total 3.0" in text
    assert "python_info" not in text  # nothing of the global registry


def test_health_says_what_is_wrong():
    trouble = []
    with serve_metrics(
        CollectorRegistry(), "127.0.0.1:0", lambda: trouble[0] if trouble else None
    ) as address:
        assert get(address, "/healthz") == (200, "ok\n")
        trouble.append("no broker for 60 s")
        assert get(address, "/healthz") == (503, "no broker for 60 s\n")
        assert get(address, "/")[0] == 404


def test_port_is_free_again_afterwards():
    with serve_metrics(CollectorRegistry(), "127.0.0.1:0", lambda: None) as address:
        pass
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def test_port_in_use_is_a_configuration_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(ConfigError, match=f"cannot listen on {listen}"),
            serve_metrics(CollectorRegistry(), listen, lambda: None),
        ):
            pass


@pytest.mark.parametrize("text", ["9464", ":9464", "host:", "host:x", "host:65536", ""])
def test_address_without_host_or_port_is_refused(text):
    with pytest.raises(ConfigError, match="allowed is host:port"):
        parse_listen(text)
