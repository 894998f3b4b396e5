# SPDX-License-Identifier: Apache-2.0
import confluent_kafka
import msgspec
import pytest

from common.config import load, render
from common.config.settings import fields_of
from common.errors import ConfigError
from common.kafka import KafkaSettings
from common.kafka_security import SecuritySettings
from common.units import ByteSize, Duration


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    return path


def test_defaults_are_written_and_read_unchanged(tmp_path):
    path = tmp_path / "kafka.toml"
    path.write_text(render(KafkaSettings()))
    assert load(KafkaSettings, path) == KafkaSettings()


@pytest.mark.parametrize("cls", [KafkaSettings, SecuritySettings])
def test_every_setting_is_described(cls):
    assert [
        field.key for field in fields_of(cls).values() if not field.description and not field.section
    ] == []


def test_producer_is_idempotent_acknowledged_by_all_and_bounded():
    assert KafkaSettings().producer() == {
        "bootstrap.servers": "localhost:9092",
        "client.id": "wirelag",
        "socket.keepalive.enable": True,
        "security.protocol": "plaintext",
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "zstd",
        "linger.ms": 50,
        "queue.buffering.max.kbytes": 32 * 1024,
        "delivery.timeout.ms": 120_000,
        "message.max.bytes": 1_000_000,
    }


def test_consumer_keeps_positions_itself_and_stops_where_records_are_gone():
    options = KafkaSettings().consumer("wirelag", member="host-1")
    assert options["enable.auto.commit"] is False
    assert options["enable.auto.offset.store"] is False
    assert options["auto.offset.reset"] == "error"
    assert options["check.crcs"] is True
    assert options["partition.assignment.strategy"] == "cooperative-sticky"
    assert options["group.instance.id"] == "host-1"


def test_new_group_protocol_has_no_static_member_and_no_strategy():
    options = KafkaSettings().consumer("wirelag", member="host-1", protocol="consumer")
    assert options["group.protocol"] == "consumer"
    assert not {"group.instance.id", "partition.assignment.strategy"} & options.keys()


@pytest.mark.parametrize("compression", ["zstd", "lz4", "none"])
def test_librdkafka_takes_every_property(compression):
    settings = KafkaSettings(
        bootstrap_servers="127.0.0.1:1", compression=compression, linger=Duration(0.0005)
    )
    quiet = {"log_level": 0}
    confluent_kafka.Producer(settings.producer() | quiet)
    for protocol in ("classic", "consumer"):
        confluent_kafka.Consumer(settings.consumer("g", member="m", protocol=protocol) | quiet).close()


def test_librdkafka_takes_the_security_properties(secret):
    scram = SecuritySettings(tls=True, mechanism="scram-sha-512", username="u", password_file=secret)
    oauth = SecuritySettings(
        tls=True,
        mechanism="oauthbearer",
        token_url="https://127.0.0.1:1/t",
        client_id="c",
        client_secret_file=secret,
    )
    for security in (scram, oauth):
        settings = KafkaSettings(bootstrap_servers="127.0.0.1:1", security=security)
        confluent_kafka.Producer(settings.producer() | {"log_level": 0})


def test_options_pass_through_over_our_defaults():
    settings = KafkaSettings(options={"linger.ms": 5, "debug": "broker"})
    assert settings.producer()["linger.ms"] == 5
    assert settings.producer()["debug"] == "broker"


@pytest.mark.parametrize(
    "key", ["acks", "request.required.acks", "enable.idempotence", "enable.auto.commit", "auto.offset.reset"]
)
def test_options_cannot_undo_a_guarantee(key):
    with pytest.raises(ValueError, match=f"'{key}' is decided by wirelag"):
        KafkaSettings(options={key: "1"})


@pytest.mark.parametrize(
    "key", ["sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"]
)
def test_secret_among_options_is_refused(key):
    with pytest.raises(ValueError, match="name a file with it"):
        KafkaSettings(options={key: "hunter2"})


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"max_record": ByteSize(10**6 + 1)}, "max-record: found 1000001B; allowed is 1kB to 1MB"),
        ({"buffer": ByteSize(0)}, "buffer: found 0B; allowed is 1MiB or more"),
        ({"delivery_timeout": Duration(0.01)}, "delivery-timeout: found 10ms; allowed is linger"),
    ],
)
def test_size_or_time_out_of_range_is_refused(changed, says):
    with pytest.raises(ValueError, match=says):
        KafkaSettings(**changed)


@pytest.mark.parametrize("shards", ["0", "10001"])
def test_number_of_shards_is_bounded(shards):
    with pytest.raises(ConfigError, match="allowed is a whole number >= 1 <= 10000"):
        load(KafkaSettings, overrides=[f"shards={shards}"])


@pytest.mark.parametrize(
    ("security", "says"),
    [
        ({"mechanism": "plain", "username": "u", "password_file": "p"}, "sends a password in clear; set tls"),
        ({"mechanism": "oauthbearer"}, "sends a token in clear; set tls"),
        ({"mechanism": "scram-sha-512"}, "needs username, password-file"),
        ({"mechanism": "oauthbearer", "tls": True}, "needs token-url, client-id, client-secret-file"),
        ({"tls": True, "certificate_file": "c"}, "certificate-file and key-file are only of use together"),
        ({"ca_file": "c"}, "tls is false; set tls = true"),
    ],
)
def test_unsafe_or_half_security_is_refused(security, says):
    with pytest.raises(ValueError, match=says):
        SecuritySettings(**security)


def test_password_comes_from_the_first_line_of_its_file_and_is_in_no_setting(secret):
    security = SecuritySettings(mechanism="scram-sha-512", username="u", password_file=secret)
    settings = KafkaSettings(security=security)
    assert settings.client()["sasl.password"] == "hunter2"
    assert settings.client()["sasl.mechanism"] == "SCRAM-SHA-512"
    assert settings.client()["security.protocol"] == "sasl_plaintext"
    assert "hunter2" not in render(settings) + repr(settings)


def test_mutual_tls_names_the_files():
    security = SecuritySettings(tls=True, ca_file="ca", certificate_file="cert", key_file="key")
    assert security.options() == {
        "security.protocol": "ssl",
        "ssl.ca.location": "ca",
        "ssl.certificate.location": "cert",
        "ssl.key.location": "key",
    }


@pytest.mark.parametrize("content", [None, "", "\nsecond line", b"\xff"])
def test_secret_file_without_a_secret_is_told_by_path(tmp_path, content):
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    security = SecuritySettings(mechanism="scram-sha-512", username="u", password_file=path)
    with pytest.raises(ConfigError, match=r"kafka\.security\.password-file") as error:
        security.options()
    assert str(path) in str(error.value)


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        KafkaSettings().shards = 3
    assert msgspec.structs.replace(KafkaSettings(), shards=3).shards == 3
