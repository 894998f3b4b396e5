# SPDX-License-Identifier: Apache-2.0
"""``wirelag control`` as a person meets it: what it writes, refuses and says where no agent runs."""

import time

import pytest

from common.kafka import KafkaSettings
from schemas import order
from schemas.order import ORDERS, Order
from support.consumer import read_topic
from support.topics import Topics
from wirelag.cli import main
from wirelag.kafka import send


@pytest.fixture
def topic(topics: Topics) -> str:
    """A control topic as `wirelag topics create` makes it."""
    return topics("control", 2, cleanup_policy="compact")


def control(kafka: str, topic: str, *arguments: str) -> int:
    """Run the command and return its exit code."""
    return main(["control", *arguments, "--bootstrap", kafka, "--set", f"kafka.control-topic={topic}"])


def written(kafka: str, topic: str) -> list[Order]:
    """Return all orders, oldest first."""
    found = [one for one in read_topic(kafka, topic, 2) if one.partition() == ORDERS]
    return [order.decode(one.value() or b"") for one in found]


def test_an_order_is_written_though_nobody_is_there_to_hear_it(
    kafka: str, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code says that nobody was; agents that start later find it."""
    before = time.time_ns()
    asked = ("stop", "--host", "web-*", "--host", "db-1", "--why", "load test", "--for", "2h", "--wait", "0s")
    assert control(kafka, topic, *asked) == 1
    out, err = capsys.readouterr()
    assert "no agent that runs has such a name" in err
    (found,) = written(kafka, topic)
    assert out.startswith(f"order {found.number}  stop web-*, db-1, until ")
    assert (found.action, found.hosts, found.why) == ("stop", ("web-*", "db-1"), "load test")
    assert found.until_ns - found.issued_at_ns == 7200 * 10**9
    assert before <= found.issued_at_ns == found.number


def test_the_last_word_has_the_highest_number_whatever_the_clocks_say(kafka: str, topic: str) -> None:
    """Somebody whose clock is a year ahead gave an order; ours comes after it all the same."""
    ahead = Order(1, time.time_ns() + 365 * 86_400 * 10**9, ("*",), "stop", 0)
    send(KafkaSettings(bootstrap_servers=kafka), topic, ORDERS, ahead.key(), order.encode(ahead))
    assert control(kafka, topic, "start", "--host", "*", "--wait", "0s") == 1
    assert written(kafka, topic)[-1].number == ahead.number + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stop", "--host", "a", "--wait", "15"), "--wait: found '15' without a unit"),
        (("stop", "--host", "a", "--for", "soon"), "--for: found 'soon'"),
        (("stop", "--host", "a", "--why", "x" * 201), "--host, --why: not an order"),
        (("stop", "--host", ""), "--host, --why: not an order"),
        (("stop",), "--host"),
        (("restart", "--host", "a"), "restart"),
    ],
)
def test_what_is_no_order_is_not_written(
    kafka: str, topic: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """One line, exit code 2."""
    assert control(kafka, topic, *arguments) == 2
    assert message in capsys.readouterr().err
    assert written(kafka, topic) == []


def test_orders_are_listed_though_no_agent_runs(
    kafka: str, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be read is passed over."""
    send(KafkaSettings(bootstrap_servers=kafka), topic, ORDERS, b"broken", b"{")
    control(kafka, topic, "stop", "--host", "web-*", "--wait", "0s")
    capsys.readouterr()
    assert control(kafka, topic, "list") == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0].partition("  ")[2].startswith("stop web-*, by ")
    assert "no agent was heard of in the last minute" in err


@pytest.mark.parametrize("command", [(), ("stop",), ("start",), ("list",)])
def test_help(capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    """Every command explains itself."""
    assert main(["control", *command, "--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: wirelag control")
