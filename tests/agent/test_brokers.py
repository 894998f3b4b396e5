# SPDX-License-Identifier: Apache-2.0
"""Brokers' ports are left out where brokers run, since an agent must not trace what its own records cause."""

import pytest

from agent.brokers import OWN_NAMESPACE, Broker, is_local, ports_left_out
from agent.preflight import check
from agent.settings import AgentSettings
from common.kafka import KafkaSettings
from support.agents import heartbeats, total, until
from support.kafka import KafkaNode
from support.netns import VethPair
from support.topics import Topics
from support.whole_way import SHARDS, AgentProcess, Names

BROKERS = (Broker("here", 9092), Broker("there", 9093), Broker("here", 9094), Broker("here", 9092))
BEATS = 40


def here(host):
    return host == "here"


@pytest.mark.parametrize(
    ("mode", "ports"), [("auto", (9092, 9094)), ("always", (9092, 9093, 9094)), ("never", ())]
)
def test_ports_of_brokers_that_run_here(mode, ports):
    assert ports_left_out(mode, BROKERS, (), here) == ports


def test_where_other_namespaces_are_traced_no_broker_is_seen():
    own = OWN_NAMESPACE.stat().st_ino
    assert ports_left_out("auto", BROKERS, (own + 1,), here) == ()
    assert ports_left_out("auto", BROKERS, (own + 1, own), here) == (9092, 9094)
    assert ports_left_out("always", BROKERS, (own + 1,), here) == (9092, 9093, 9094)


def test_addresses_of_this_host():
    assert is_local("127.0.0.1")
    assert is_local("localhost")
    assert not is_local("192.0.2.1")
    assert not is_local("does-not-exist.invalid")


@pytest.mark.kernel
@pytest.mark.parametrize(("partitions", "said"), [(1, True), (2, False)])
def test_check_tells_of_ports_left_out_and_of_orders_that_cannot_come(kafka, topics, partitions, said):
    there = {"events_topic": topics("events", 2), "control_topic": topics("control", partitions)}
    settings = AgentSettings(kafka=KafkaSettings(bootstrap_servers=kafka, shards=2, **there))
    lines = list(check(settings, offline=False))
    assert lines[-1] == f"left out: port {kafka.partition(':')[2]} of Kafka (capture.exclude-brokers)"
    assert any(line.startswith("orders: none") for line in lines) is said


@pytest.fixture(scope="module")
def host():
    """A host of its own, in which nothing else talks."""
    with VethPair() as network:
        yield network.a


@pytest.fixture(scope="module")
def names(host, tmp_path_factory):
    """A real broker on that host; whoever uses it has to be on the host too."""
    with host.entered(), KafkaNode(tmp_path_factory.mktemp("broker")) as node:
        topics = Topics(node.bootstrap)
        yield Names(node.bootstrap, topics("events", SHARDS), topics("control", 2), "", ""), node.controller


def at_rest(host, names, controller, folder, mode):
    """Run an agent that traces the whole host until it has been heard of often; events between two beats."""
    more = (
        f"agent.runtime-dir={folder}",
        "agent.heartbeat=200ms",
        f"capture.exclude-brokers={mode}",
        f"capture.exclude-ports={controller}",  # what the node says to itself, agent or not
        "agent.host-name=alone",
    )
    before = heartbeats(names)
    known = {beat.epoch for beat in before}
    with AgentProcess(names, (host.inode,), *more) as agent:
        until(names, lambda beat: beat.sequence >= BEATS and beat.epoch not in known)
    counted = [total(beat, "kernel", "attempted") for beat in heartbeats(names)[len(before) :]]
    return counted, agent


@pytest.mark.kernel
@pytest.mark.kafka
@pytest.mark.slow
def test_an_agent_beside_a_broker_does_not_trace_what_it_causes(host, names, tmp_path):
    """With the broker's ports traced, each record that leaves makes events, which make the next record."""
    with host.entered():
        traced, _ = at_rest(host, *names, tmp_path / "a", "never")
        quiet, agent = at_rest(host, *names, tmp_path / "b", "auto")
    assert traced[-1] - traced[BEATS // 2] > BEATS // 2, "the broker answers each record: that is seen"
    assert quiet[-1] == 0
    assert agent.totals == {}
