# SPDX-License-Identifier: Apache-2.0
"""What can be wrong on the way to a real broker: each is said with its setting, nobody gives up."""

import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent.delivery.gate import Gate
from agent.delivery.kafka import KafkaDelivery
from agent.ledger import Ledger
from common.config import render
from common.errors import ConfigError, RuntimeFailure
from common.kafka import KafkaSettings
from common.kafka_security import SecuritySettings
from consumer.source import kafka as source
from consumer.source.kafka import KafkaSource
from support.kafka import QUICK
from support.secure import PASSWORD, SecureKafka
from support.tokens import AUDIENCE, SECRET

PATIENCE_SECONDS = 60.0
WRONG: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "password": ("SASL", "scram-sha-512", {"password_file": "bad"}, "kafka.security.password-file"),
    "user": ("SASL", "scram-sha-512", {"username": "nobody"}, "kafka.security.username"),
    "plain password": ("SASL", "plain", {"password_file": "bad"}, "kafka.security.password-file"),
    "mechanism": ("SASL", "scram-sha-256", {}, "supported mechanisms: .*kafka.security.mechanism"),
    "no mechanism": ("SASL", "none", {}, "kafka.security.mechanism"),
    "name": ("OTHER", "none", {}, "address mismatch.*kafka.bootstrap-servers"),
    "expired": ("EXPIRED", "none", {}, "has expired .*the broker needs another certificate"),
    "authority": ("TLS", "none", {"ca_file": "stranger"}, "issuer certificate .kafka.security.ca-file"),
    "no certificate": (
        "MUTUAL",
        "none",
        {"certificate_file": None, "key_file": None},
        "certificate required.*kafka.security.certificate-file, kafka.security.key-file",
    ),
    "token secret": (
        "SASL",
        "oauthbearer",
        {"client_secret_file": "bad"},
        "kafka.security.client-secret-file",
    ),
    "tls": ("PLAINTEXT", "none", {"tls": True}, "kafka.security.tls"),
    "no tls": ("TLS", "none", {"tls": False, "ca_file": None}, "kafka.security.tls: must be true"),
}


def _wrong(secure: SecureKafka, listener: str, mechanism: str, other: dict[str, Any]) -> KafkaSettings:
    files = {"bad": secure.secret("wr0ng", "bad"), "stranger": secure.stranger.file}
    other = {key: files.get(value, value) for key, value in other.items()}
    at = secure.node.bootstrap if listener == "PLAINTEXT" else secure.node.address(listener)
    security = SecuritySettings(**secure.security(listener, mechanism, **other))
    return KafkaSettings(bootstrap_servers=at, security=security, options=QUICK)


def said_of(settings: KafkaSettings, words: str) -> str:
    """Return what the agent says of its way to Kafka, once that has these words in it; it goes on asking."""
    delivery = KafkaDelivery(settings, Ledger())
    deadline = time.monotonic() + PATIENCE_SECONDS
    with capture_logs() as logged, Gate(lambda _: delivery.check_topic(0.4)) as gate:
        while not re.search(words, gate.why):
            delivery.poll()
            assert not gate.is_open()
            assert time.monotonic() < deadline, gate.why
            time.sleep(0.01)
        return f"{gate.why} {delivery.last_error} {logged}"


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_with_the_setting_and_without_a_secret(
    secure: SecureKafka, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With librdkafka's own lines, of which the broker's answers are the part that others write."""
    listener, mechanism, other, words = WRONG[what]
    settings = _wrong(secure, listener, mechanism, other)
    with caplog.at_level(logging.DEBUG):
        said = said_of(settings, words)
    everything = said + caplog.text + repr(settings) + render(settings)
    assert not [secret for secret in (PASSWORD, SECRET, "wr0ng") if secret in everything]


def test_a_token_server_that_is_away_is_named_and_found_again(secure: SecureKafka) -> None:
    settings = _wrong(secure, "SASL", "oauthbearer", {})
    secure.tokens.stop()
    try:
        said_of(settings, "acquire SASL OAUTHBEARER token.*kafka.security.token-url")
    finally:
        secure.tokens.start()


def test_a_token_that_the_broker_refuses(secure: SecureKafka) -> None:
    settings = _wrong(secure, "SASL", "oauthbearer", {})
    secure.tokens.audience = "another cluster"
    try:
        said_of(settings, "invalid_token.*kafka.security.token-url, kafka.security.scope")
    finally:
        secure.tokens.audience = AUDIENCE


@pytest.mark.parametrize("what", ["password", "tls"])
def test_a_consumer_says_it_too(secure: SecureKafka, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "REQUEST_SECONDS", 1.0)
    listener, mechanism, other, _ = WRONG[what]
    settings = _wrong(secure, listener, mechanism, other)
    reader = KafkaSource(settings.consumer("refused"), settings.client())
    words = f"kafka.security.{'password-file' if what == 'password' else 'tls'}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    said = ""
    while words not in said:
        assert time.monotonic() < deadline, said
        with pytest.raises(RuntimeFailure) as refused:
            reader.describe(["events"])
        said = str(refused.value)
    reader.close()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"options": {"socket.timeout": 1}}, 'kafka.options: .*"socket.timeout"'),
        ({"options": {"socket.timeout.ms": "soon"}}, 'kafka.options: .*"socket.timeout.ms"'),
        (
            {"security": {"tls": True, "ca_file": Path("/nowhere")}},
            "kafka.security.ca-file: /nowhere: .*ssl.ca.location failed",
        ),
    ],
)
def test_what_librdkafka_does_not_take_is_a_settings_error(changed: dict[str, Any], words: str) -> None:
    security = SecuritySettings(**changed.pop("security", {}))
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1", security=security, **changed)
    for make in (
        lambda: KafkaDelivery(settings, Ledger()),
        lambda: KafkaSource(settings.consumer("none"), settings.client()),
    ):
        with pytest.raises(ConfigError, match=words):
            make()
