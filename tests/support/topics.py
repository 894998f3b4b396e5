# SPDX-License-Identifier: Apache-2.0
"""Topics for tests, each with a name of its own."""

import uuid
from collections.abc import Mapping

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from support.kafka import QUICK
from wirelag.kafka_admin import wait_until_led


class Topics:
    """Makes topics with names of their own, so that tests on one node never meet."""

    def __init__(self, bootstrap: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, **QUICK})

    def __call__(self, name: str = "topic", partitions: int = 1, **config: str) -> str:
        """A fresh topic's name; its times are the broker's (LogAppendTime).

        Args:
            name: how the name begins, for whoever reads a log.
            partitions: how many.
            config: topic settings with `_` for `.`, such as `cleanup_policy="compact"`.
        """
        fresh = f"{name}.{uuid.uuid4().hex[:8]}"
        settings = {"message.timestamp.type": "LogAppendTime"}
        settings |= {key.replace("_", "."): value for key, value in config.items()}
        self.create(fresh, partitions, settings)
        return fresh

    def create(self, name: str, partitions: int, config: Mapping[str, str]) -> None:
        """Make a topic of exactly this name, and return once each of its partitions can be used."""
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config))
        self._admin.create_topics([topic])[name].result(60)
        wait_until_led(self._admin, name)

    def delete(self, name: str) -> None:
        """Delete it."""
        self._admin.delete_topics([name])[name].result(60)
