# SPDX-License-Identifier: Apache-2.0
"""`/metrics`, `/livez`, `/readyz` and `/healthz` over HTTP, of a registry that the caller made.

Nothing here is global. Whoever does without metrics does not import this: the client library costs memory.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from socket import AF_INET6
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

from common.errors import ConfigError
from common.health import Check, Health
from common.listen import parse_listen

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PATHS = "/metrics, /livez, /readyz, /healthz\n"


def new_registry() -> CollectorRegistry:
    """Return a registry that has the processor time, memory and open files of this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


@contextmanager
def serve_metrics(registry: CollectorRegistry, listen: str, health: Health) -> Iterator[tuple[str, int]]:
    """Answer until the block is left; yields the address, of use where `listen` asked for port 0.

    Args:
        registry: what `/metrics` shows.
        listen: such as `127.0.0.1:9464`.
        health: what `/livez` and `/readyz` ask, `/healthz` both: 200 where all is well, else 503 and why.

    Raises:
        ConfigError: nothing can listen there.
    """
    host, port = parse_listen(listen)
    kind = _Server6 if ":" in host else _Server
    try:
        server = kind((host, port), _QuietHandler)
    except OSError as error:
        raise ConfigError(f"metrics-listen: cannot listen on {listen}: {error}") from error
    with server:
        server.set_app(_application(registry, health))
        thread = Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        thread.start()
        try:
            yield host, server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def served(registry: CollectorRegistry, listen: str, health: Health) -> Iterator[None]:
    """The same where ``listen`` is not empty; the address is logged.

    Raises:
        ConfigError: nothing can listen there.
    """
    if not listen:
        yield
        return
    with serve_metrics(registry, listen, health) as (host, port):
        structlog.get_logger().info("metrics", url=f"http://{host}:{port}/metrics")
        yield


def _application(registry: CollectorRegistry, health: Health) -> "WSGIApplication":
    metrics: WSGIApplication = make_wsgi_app(registry)
    checks = {"/livez": health.live, "/readyz": health.ready, "/healthz": health.trouble}

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start_response)
        status, body = _answer(checks[path]) if path in checks else ("404 Not Found", PATHS)
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [body.encode()]

    return answer


def _answer(check: Check) -> tuple[str, str]:
    trouble = check()
    return ("503 Service Unavailable", f"{trouble}\n") if trouble else ("200 OK", "ok\n")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = AF_INET6


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Scrapes are no news."""
