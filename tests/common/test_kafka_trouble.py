# SPDX-License-Identifier: Apache-2.0
"""librdkafka's words made into what a person can use."""

import pytest

from common.kafka_probe import addresses
from common.kafka_security import SecuritySettings
from common.kafka_trouble import explained, is_of_security, tells_a_cause, unusable


def test_noise_goes_and_the_setting_comes():
    said = (
        "sasl_ssl://kafka1:9093/bootstrap: SASL authentication error: Authentication failed (after 315ms in "
        "state AUTH_REQ, 3 identical error(s) suppressed)"
    )
    assert explained(said) == (
        "kafka1:9093: SASL authentication error: Authentication failed (kafka.security.username, "
        "kafka.security.password-file: must be those of a user that the broker knows)"
    )
    assert is_of_security(said)


@pytest.mark.parametrize("said", ["Local: Message timed out", "2/3 brokers are down"])
def test_what_tells_no_cause_is_known(said):
    assert not tells_a_cause(said)
    assert explained(said) == said


def test_what_is_not_known_is_passed_on():
    said = "ssl://k:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)"
    assert explained(said) == "k:1: Connect to ipv4#127.0.0.1:1 failed: Connection refused"
    assert tells_a_cause(said)
    assert not is_of_security(said)


def test_a_password_of_a_key_is_never_shown():
    said = unusable("ssl.key.password is wrong", {"ssl.key.password": "hunter2"})
    assert said == "kafka.security.key-password-file: ssl.key.password is wrong"


def test_addresses_of_the_settings():
    assert addresses("kafka1:9093, [::1]:9094,kafka2,") == [
        ("kafka1", 9093),
        ("::1", 9094),
        ("kafka2", 9092),
    ]


@pytest.mark.parametrize("url", ["http://login.example/token", "ftp://localhost/", "login.example"])
def test_a_token_server_that_would_be_told_the_secret_in_clear_is_refused(url):
    with pytest.raises(ValueError, match=r"token-url: found .*allowed is https"):
        SecuritySettings(token_url=url)


def test_a_changed_file_changes_the_stamp(tmp_path):
    path = tmp_path / "password"
    settings = SecuritySettings(mechanism="scram-sha-512", username="u", password_file=path)
    stamps = [settings.stamp()]
    for text in ("one", "longer"):
        path.write_text(text)
        stamps.append(settings.stamp())
    assert len(set(stamps)) == 3
