# SPDX-License-Identifier: Apache-2.0
"""One real Kafka with a listener for each way to prove who one is, and for each way to fail at it.

    TLS         a certificate of this address
    MUTUAL      the same, and the client has to show one
    SASL        TLS with SCRAM-SHA-512, PLAIN and OAUTHBEARER
    OTHER       a certificate of another name
    EXPIRED     a certificate that is no longer valid

Its plain listener is for the test itself: it makes topics and users there.
"""

from pathlib import Path
from typing import Any, Self

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from support.certificates import Authority, Pair
from support.kafka import QUICK, KafkaNode
from support.tokens import AUDIENCE, SECRET, TokenServer

USER, PASSWORD = "wirelag", "pa55word-of-wirelag"
_MODULES = "org.apache.kafka.common.security"
_LISTENERS = {"TLS": "SSL", "MUTUAL": "SSL", "SASL": "SASL_SSL", "OTHER": "SSL", "EXPIRED": "SSL"}
SESSION_MS = 2500
"""After which a client has to show again that it knows its password; not more often than once a second."""


class SecureKafka:
    """The node, its authority, its users and its token server."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.authority = Authority(home / "ca", "authority")
        self.stranger = Authority(home / "stranger", "stranger")
        self.client = self.authority.sign("client", "DNS:client")
        self.tokens = TokenServer(home / "tokens").start()
        self.node = KafkaNode(
            home / "kafka",
            listeners=_LISTENERS,
            properties=self._properties(),
            machine=[f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.tokens.url}/keys"],
        )

    def __enter__(self) -> Self:
        self.node.__enter__()
        self.set_password(PASSWORD)
        return self

    def __exit__(self, *_: object) -> None:
        self.node.close()
        self.tokens.stop()

    def set_password(self, password: str) -> None:
        """Let this be the password of SCRAM's user."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(USER, info, password.encode())
        admin = AdminClient({"bootstrap.servers": self.node.bootstrap, **QUICK})
        for done in admin.alter_user_scram_credentials([change]).values():
            done.result(60)

    def secret(self, text: str, name: str = "password") -> Path:
        """Return a file that only its owner reads, with a secret."""
        path = self._home / f"{name}.secret"
        path.touch(0o600)
        path.write_text(text + "\n")
        return path

    def security(self, listener: str, mechanism: str = "none", **other: Any) -> dict[str, Any]:
        """Return the table `[kafka.security]` that is right for a listener, with ``other`` in it."""
        right: dict[str, Any] = {"tls": True, "ca_file": self.authority.file, "mechanism": mechanism}
        if listener == "MUTUAL":
            right |= {"certificate_file": self.client.certificate, "key_file": self.client.key}
        if mechanism == "oauthbearer":
            right |= {"token_url": f"{self.tokens.url}/token", "client_id": "wirelag"}
            right |= {"client_secret_file": self.secret(SECRET, "client")}
        elif mechanism != "none":
            right |= {"username": USER, "password_file": self.secret(PASSWORD)}
        return right | other

    def _properties(self) -> dict[str, str]:
        sign = self.authority.sign
        good = sign("kafka")
        plain = f'{_MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        scram = f"{_MODULES}.scram.ScramLoginModule required;"
        handler = f"{_MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"
        return {
            **_store("TLS", good),
            **_store("MUTUAL", good),
            **_store("SASL", good),
            **_store("OTHER", sign("other", "DNS:kafka.example")),
            **_store("EXPIRED", sign("expired", expired=True)),
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.mutual.ssl.truststore.type": "PEM",
            "listener.name.mutual.ssl.truststore.location": str(self.authority.file),
            "listener.name.sasl.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN,OAUTHBEARER",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.sasl.scram-sha-512.connections.max.reauth.ms": str(SESSION_MS),
            "listener.name.sasl.plain.sasl.jaas.config": plain,
            "listener.name.sasl.oauthbearer.sasl.jaas.config": (
                f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required;"
            ),
            "listener.name.sasl.oauthbearer.sasl.server.callback.handler.class": handler,
            "sasl.oauthbearer.jwks.endpoint.url": f"{self.tokens.url}/keys",
            "sasl.oauthbearer.expected.audience": AUDIENCE,
        }


def _store(listener: str, pair: Pair) -> dict[str, str]:
    prefix = f"listener.name.{listener.lower()}.ssl.keystore"
    return {f"{prefix}.type": "PEM", f"{prefix}.location": str(pair.store)}
