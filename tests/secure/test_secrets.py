# SPDX-License-Identifier: Apache-2.0
"""Secrets come from files, are in nothing that is shown or logged, and are read anew with each client."""

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.delivery.kafka import KafkaDelivery
from agent.delivery.orders import Orders
from agent.delivery.outstanding import Ticket
from agent.ledger import Ledger
from agent.preflight import check
from agent.settings import AgentSettings
from agent.spool.settings import SpoolSection
from common.config import render
from common.errors import RuntimeFailure
from common.kafka import KafkaSettings
from common.kafka_security import SecuritySettings
from schemas.order import ORDERS, VERSION, Order, encode
from support.house import ROOT
from support.secure import PASSWORD, SecureKafka
from support.tokens import SECRET
from support.topics import Topics
from wirelag.kafka import send

PATIENCE_SECONDS = 60.0
MECHANISMS = ["scram-sha-512", "plain", "oauthbearer"]


def settings_on(secure: SecureKafka, mechanism: str, **other: object) -> KafkaSettings:
    topics = Topics(secure.node.bootstrap)
    return KafkaSettings(
        bootstrap_servers=secure.node.address("SASL"),
        events_topic=topics("events"),
        control_topic=topics("control", 2),
        shards=1,
        security=SecuritySettings(**secure.security("SASL", mechanism, **other)),
        options={"debug": "all"},
    )


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_librdkafka_debug_lines_hold_no_secret(
    secure: SecureKafka, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All of them, of a client that is let in and delivers."""
    delivery = KafkaDelivery(settings_on(secure, mechanism), Ledger())
    with caplog.at_level(logging.DEBUG):
        delivery.send(b"one", Ticket(0, 0, 1, 0))
        assert delivery.close(PATIENCE_SECONDS, time.monotonic) == 0
    assert "SASL" in caplog.text
    assert len(caplog.records) > 20
    assert PASSWORD not in caplog.text
    assert SECRET not in caplog.text


def test_what_is_shown_holds_no_secret_and_a_file_for_all_is_warned_of(
    secure: SecureKafka, tmp_path: Path
) -> None:
    """`config show` and `check`, as a person runs them."""
    settings = AgentSettings(kafka=settings_on(secure, "plain"), spool=SpoolSection(path=""))
    file = tmp_path / "agent.toml"
    file.write_text(render(settings))
    command = [sys.executable, "-m", "agent", "config", "show", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=True)
    assert str(settings.kafka.security.password_file) in done.stdout
    security = settings.kafka.security
    assert security.readable_by_others() == []
    assert security.password_file is not None
    security.password_file.chmod(0o644)
    try:
        assert security.readable_by_others() == [security.password_file]
        assert PASSWORD not in done.stdout + done.stderr + repr(settings)
    finally:
        security.password_file.chmod(0o600)


@pytest.mark.kernel
def test_check_warns_of_a_secret_that_every_user_may_read(secure: SecureKafka) -> None:
    settings = AgentSettings(kafka=settings_on(secure, "plain"), spool=SpoolSection(path=""))
    path = settings.kafka.security.password_file
    assert path is not None
    assert not [line for line in check(settings, offline=True) if "warning" in line]
    path.chmod(0o644)
    try:
        [warning] = [line for line in check(settings, offline=False) if "warning" in line]
        assert warning == f"warning: {path} holds a secret and every user may read it (chmod o-r)"
    finally:
        path.chmod(0o600)


@pytest.mark.kernel
def test_check_says_what_is_wrong_with_the_way_to_kafka(secure: SecureKafka) -> None:
    kafka = settings_on(secure, "scram-sha-512", password_file=secure.secret("wr0ng", "bad"))
    with pytest.raises(RuntimeFailure, match=r"kafka\.security\.password-file") as refused:
        list(check(AgentSettings(kafka=kafka, spool=SpoolSection(path="")), offline=False))
    assert "wr0ng" not in str(refused.value)


def test_orders_are_heard_with_a_secret_that_changed(secure: SecureKafka, tmp_path: Path) -> None:
    """The reader of orders takes the new one when it is made anew, and goes on where it was."""
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    settings = settings_on(secure, "scram-sha-512", password_file=file)
    orders = Orders(settings, "alpha")
    orders.open(2)

    def write(number: int) -> None:
        order = Order(VERSION, number, ("alpha",), "stop", 1)
        target = KafkaSettings(bootstrap_servers=secure.node.bootstrap)
        send(target, settings.control_topic, ORDERS, order.key(), encode(order))

    def hear(number: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while orders.number != number:
            assert time.monotonic() < deadline
            orders.poll()
            time.sleep(0.01)

    write(1)
    hear(1)
    secure.set_password("changed")
    try:
        file.write_text("changed")
        orders.renew()
        write(2)
        hear(2)
    finally:
        secure.set_password(PASSWORD)
    orders.close()
