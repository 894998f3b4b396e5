# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
import uuid

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from common.errors import RuntimeFailure, TopicMismatchError
from common.kafka import KafkaSettings
from deploy.create_topics import create_topics


@pytest.fixture
def settings(kafka):
    mark = uuid.uuid4().hex[:8]
    names = {f"{kind}_topic": f"{kind}.{mark}" for kind in ("events", "control", "latency", "poison")}
    return KafkaSettings(bootstrap_servers=kafka, shards=5, options={"log_level": 0}, **names)


def test_four_topics_are_made_and_a_second_run_changes_nothing(settings):
    names = [settings.events_topic, settings.control_topic, settings.latency_topic, settings.poison_topic]
    assert create_topics(settings) == dict.fromkeys(names, "created")
    assert create_topics(settings) == dict.fromkeys(names, "already there")
    there = AdminClient(settings.client()).list_topics(timeout=10).topics
    assert [len(there[name].partitions) for name in names] == [5, 2, 5, 1]


def test_times_are_the_brokers_and_control_is_compacted(settings):
    create_topics(settings)
    admin = AdminClient(settings.client())
    names = (settings.events_topic, settings.control_topic)
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    events, control = (future.result(10) for future in admin.describe_configs(resources).values())
    assert (
        events["message.timestamp.type"].value == control["message.timestamp.type"].value == "LogAppendTime"
    )
    assert events["cleanup.policy"].value == "delete"
    assert control["cleanup.policy"].value == "compact,delete"


def test_other_number_of_partitions_is_refused(settings, topics):
    topics.create(settings.events_topic, 4, {})
    with pytest.raises(TopicMismatchError, match="has 4 partitions; wanted is 5"):
        create_topics(settings)


def test_control_topic_of_one_partition_will_do_without_orders(settings, topics):
    topics.create(settings.control_topic, 1, {})
    done = create_topics(settings)
    assert done[settings.control_topic].startswith("already there, of one partition")
    assert done[settings.events_topic] == "created"


def test_more_replicas_than_brokers_is_told_in_the_words_of_the_broker(settings):
    with pytest.raises(RuntimeFailure, match=f"{settings.events_topic}: .*replic"):
        create_topics(settings, replicas=3)


def test_command_prints_a_line_for_each_topic(settings):
    keys = [key for key in settings.__struct_fields__ if key == "bootstrap_servers" or key.endswith("_topic")]
    sets = [f"--set={key.replace('_', '-')}={getattr(settings, key)}" for key in keys]
    command = [sys.executable, "-m", "deploy.create_topics", *sets]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"{settings.events_topic}: created"
