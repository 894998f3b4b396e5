# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.metrics_page` prints docs/metrics.md: every metric of all services.

It is made from their registries: what a service registers is on it, with the text that Prometheus shows.
"""

import sys
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from agent.brakes.standing import Standing
from agent.metrics import LABEL_NAMES, registry_of
from agent.status import Status
from common.metrics import new_registry
from consumer.pipeline.metrics import Metrics
from consumer.rollup.metrics import Metrics as RollUps
from wirelag.rounds import Metrics as Rounds

_HEAD = """# Metrics

Written by `make docs` from what the services register; do not edit. `service.metrics-listen` turns them on,
for the agent and the consumer alike: `9464` listens on 127.0.0.1, `0.0.0.0:9464` everywhere. It is off by
default. There is neither encryption nor a password: let it listen where only Prometheus comes.

| path | answers 200 where (else 503, and says what is wrong) |
| --- | --- |
| `/metrics` | always |
| `/livez` | the working loop turned: agent within 30 s, consumer within 300 s, as a commit may take long |
| `/readyz` of the agent | attached or deliberately stopped, and Kafka acknowledges or nothing waits for it |
| `/readyz` of the consumer | its loop has begun and the last cycle went well |
| `/healthz` | `/livez` and `/readyz` both do |

The agent's figures are those of its last heartbeat (`agent.heartbeat`, 2 s), all of one moment. Each `_total`
starts at 0 with the process; beside those that the consumer counts there is a `_created`, when that was.
"""


def render() -> str:
    """Return the page."""
    consumer = CollectorRegistry()
    own = Metrics(consumer).label_names
    rollup = CollectorRegistry()
    rolled = RollUps(rollup).label_names
    maintain = CollectorRegistry()
    rounds = Rounds(maintain).label_names
    parts = [
        _HEAD,
        "## Agent\n",
        _table(_own(registry_of(example).collect()), LABEL_NAMES),
        "## Consumer\n",
        _table(consumer.collect(), own),
        "## Roll-up: beside the consumer, and `wirelag rollup --every`\n",
        _table(rollup.collect(), rolled),
        "## `wirelag lake maintain --every`\n",
        _table(maintain.collect(), rounds),
        "## All: the process\n",
        _table(new_registry().collect(), {}),
    ]
    return "\n".join(parts)


def _own(families: Iterable[Metric]) -> list[Metric]:
    return [one for one in families if one.name.startswith("wirelag_")]


def _table(families: Iterable[Metric], labels: Mapping[str, tuple[str, ...]]) -> str:
    rows = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for one in families:
        suffix = {"counter": "_total", "info": "_info"}.get(one.type, "")
        names = ", ".join(f"`{name}`" for name in labels.get(one.name, ()))
        rows.append(f"| `{one.name}{suffix}` | {one.type} | {names} | {one.documentation.rstrip('.')} |")
    return "\n".join(rows) + "\n"


def example() -> Status:
    """Return a status in which everything is known, so that no metric is left out."""
    return Status(
        **Standing()._asdict(),
        host="",
        pid=1,
        agent="",
        epoch=0,
        monotonic_ns=0,
        uptime_seconds=0.0,
        events=0,
        delivered=0,
        lost={},
        in_flight=0,
        delivered_records=0,
        delivered_bytes=0,
        last_delivery_ns=0,
        last_error="",
        kernel_us_per_event=0.4,
        agent_us_per_event=1.0,
        cpu_percent=0.0,
        cpu_mean_percent=0.0,
        rss_bytes=0,
        kept=0,
        sampled=0,
        bytes_per_day=0,
        ports_left_out=(),
        spool_records=0,
        spool_bytes=0,
        spool_limit_bytes=0,
        spool_oldest_seconds=0.0,
    )


if __name__ == "__main__":
    sys.stdout.write(render())
