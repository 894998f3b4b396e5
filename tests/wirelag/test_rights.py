# SPDX-License-Identifier: Apache-2.0
"""The rights that ``wirelag topics acl`` prints are enough, and each is needed, by Kafka's own authorizer."""

import time
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from agent.delivery.kafka import KafkaDelivery
from agent.delivery.orders import Orders
from agent.delivery.outstanding import Ticket
from agent.ledger import DELIVERED, Ledger
from common.config import load
from common.errors import RuntimeFailure
from consumer.settings import ConsumerSettings
from schemas import example, order
from support.batches import Fleet
from support.consumer import Runner, World, wait_for
from support.guarded import Guarded
from support.topics import Topics
from wirelag.cli import main

RUNNING = ("consumer.idle-flush=200ms", "consumer.tick=20ms")
REFUSED = "authorization failed"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with Guarded(tmp_path_factory.mktemp("guarded") / "kafka") as node:
        yield node


@pytest.fixture
def world(guarded, tmp_path):
    return World(guarded.node.bootstrap, Topics(guarded.node.bootstrap), tmp_path)


@pytest.fixture
def printed(world, capsys):
    """Return the commands for a principal of a role, by the names of what they are for."""

    def printed(role, user):
        others = [word for one in ("agent", "consumer") if one != role for word in (f"--{one}", "User:x")]
        told = [word for text in world.overrides() for word in ("--set", text)]
        capsys.readouterr()
        assert main(["topics", "acl", f"--{role}", f"User:{user}", *others, *told]) == 0
        lines = capsys.readouterr().out.splitlines()
        return {
            before: line
            for before, line in pairwise(lines)
            if line.startswith("kafka-acls.sh") and f"User:{user} " in line
        }

    return printed


def told_of(user):
    return [f"{key}={value}" for key, value in user.items()]


def made(lake):
    return any(lake.glob("_delta_log/*.json"))


def test_a_consumer_needs_each_right_and_no_other(guarded, world, printed):
    fleet = Fleet(shards=world.shards)
    world.send(fleet.talk(5))
    world.send([(0, b"poison")])
    world.beat(*fleet.heartbeat(0, sequence=0))
    every = printed("consumer", "whole")
    assert len(every) == 7
    guarded.grant(every.values())
    with Runner(world) as runner:
        told = (*told_of(guarded.user("whole")), *RUNNING)
        pid = runner.start(*told, until_end=False)
        wait_for(lambda: world.matched() == fleet.sends and len(world.latencies()) > 0)
        assert runner.stop(pid) == 0
        assert REFUSED not in runner.output.read_text()
        assert len(world.poisoned()) == 1
        for number, why in enumerate(every):
            name = f"without-{number}"
            rights = printed("consumer", name)
            left_out = rights.pop(why)
            guarded.grant(rights.values())
            told = (*told_of(guarded.user(name)), *RUNNING, f"consumer.group=group-lake-{world.events}")
            pid = runner.start(*told, until_end=False, lake=name)
            if "can be left out" in why:
                wait_for(lambda at=name: made(world.folder / at) and len(world.rows("match", at)) > 0)
                assert runner.stop(pid) == 0
                continue
            assert runner.wait() == 2, why
            said = runner.output.read_text()
            assert REFUSED in said, why
            assert "`wirelag topics acl`" in said
            assert left_out.split()[-1] in said, "the topic or the group"


def agent_of(world, user):
    settings = load(ConsumerSettings, overrides=[*world.overrides(), *told_of(user)]).kafka
    return KafkaDelivery(settings, ledger := Ledger()), Orders(settings, "alpha"), ledger


def test_an_agent_needs_each_right_and_no_other(guarded, world, printed):
    given = example.order()
    given = type(given)(given.version, given.number, ("*",), given.action, given.issued_at_ns)
    world.beat(given.key(), order.encode(given), order.ORDERS)
    every = printed("agent", "host")
    assert len(every) == 3
    guarded.grant(every.values())
    delivery, orders, ledger = agent_of(world, guarded.user("host"))
    delivery.check_topic()
    delivery.send(b"x", Ticket(0, 0, 7, 0))
    delivery.send_control(b"host", b"heartbeat")
    assert delivery.close(30, time.monotonic) == 0
    assert ledger.total(*DELIVERED) == 7
    orders.open(2)
    orders.catch_up(30)
    assert orders.number == given.number
    orders.close()

    for number, why in enumerate(every):
        name = f"host-without-{number}"
        rights = printed("agent", name)
        topic = rights.pop(why).partition("--topic ")[2]
        guarded.grant(rights.values())
        delivery, orders, _ = agent_of(world, guarded.user(name))
        if "can be left out" in why:
            delivery.check_topic()
            with capture_logs() as logs:
                orders.open(2)
                orders.catch_up(5)
            orders.close()
            assert orders.number == 0
            assert REFUSED in str(logs)
        elif topic == world.control:  # may be described, for Read is there; a heartbeat is refused
            delivery.check_topic()
            heard = len(world._read(world.control, 2))
            delivery.send_control(b"host", b"heartbeat")
            delivery.close(30, time.monotonic)
            assert len(world._read(world.control, 2)) == heard
        else:
            with pytest.raises(RuntimeFailure, match=rf"(?i){topic}.*{REFUSED}"):
                delivery.check_topic()
