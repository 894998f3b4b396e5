# SPDX-License-Identifier: Apache-2.0
"""How a client proves who it is to Kafka, and Kafka to it: TLS, mutual TLS, SCRAM, OAUTHBEARER.

Secrets are read from files when a client is made and are in no setting, so no dump of settings can hold one.
A client that is made anew reads them anew.
"""

import stat
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from common.config.settings import Settings
from common.errors import ConfigError

Options = dict[str, str | int | float | bool]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ENCRYPTED_ONLY = {"plain": "a password", "oauthbearer": "a token"}


class SecuritySettings(Settings, frozen=True):
    """The table `[kafka.security]`."""

    tls: Annotated[bool, Meta(description="Encrypt, and check the broker's certificate")] = False
    ca_file: Annotated[
        Path | None, Meta(description="PEM file to check brokers by; the system's without")
    ] = None
    certificate_file: Annotated[Path | None, Meta(description="Own PEM certificate, for mutual TLS")] = None
    key_file: Annotated[Path | None, Meta(description="Own PEM key, for mutual TLS")] = None
    key_password_file: Annotated[Path | None, Meta(description="File with the password of the key")] = None
    mechanism: Annotated[
        Literal["none", "scram-sha-512", "scram-sha-256", "plain", "oauthbearer"],
        Meta(description="SASL mechanism; plain and oauthbearer need tls"),
    ] = "none"
    username: Annotated[str, Meta(description="User, for scram and plain")] = ""
    password_file: Annotated[Path | None, Meta(description="File with that user's password")] = None
    token_url: Annotated[str, Meta(description="Where oauthbearer gets its tokens")] = ""
    client_id: Annotated[str, Meta(description="Client id, for oauthbearer")] = ""
    client_secret_file: Annotated[Path | None, Meta(description="File with that client's secret")] = None
    scope: Annotated[str, Meta(description="Scope to ask of the token server")] = ""

    def __post_init__(self) -> None:
        """Refuse what would send a secret in clear, and halves of what belongs together."""
        if self.mechanism in _ENCRYPTED_ONLY and not self.tls:
            sent = _ENCRYPTED_ONLY[self.mechanism]
            raise ValueError(
                f"mechanism {self.mechanism!r} without tls sends {sent} in clear; set tls = true"
            )
        if not self.tls and (self.ca_file or self.certificate_file):
            raise ValueError("ca-file or certificate-file is set but tls is false; set tls = true")
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate-file and key-file are only of use together")
        if self.token_url and not _keeps_secrets(self.token_url):
            raise ValueError(
                f"token-url: found {self.token_url!r}; allowed is https://…, as a secret is sent there"
            )
        missing = [key for key, value in self._needed() if not value]
        if missing:
            raise ValueError(f"mechanism {self.mechanism!r} needs {', '.join(missing)} as well")

    def _needed(self) -> list[tuple[str, object]]:
        if self.mechanism == "none":
            return []
        if self.mechanism == "oauthbearer":
            return [
                ("token-url", self.token_url),
                ("client-id", self.client_id),
                ("client-secret-file", self.client_secret_file),
            ]
        return [("username", self.username), ("password-file", self.password_file)]

    def options(self) -> Options:
        """What librdkafka calls all this, secrets read.

        Raises:
            ConfigError: a file with a secret cannot be read.
        """
        sasl = self.mechanism != "none"
        protocol = ("sasl_" if sasl else "") + ("ssl" if self.tls else "plaintext")
        return {"security.protocol": protocol} | self._tls_options() | (self._sasl_options() if sasl else {})

    def stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Return what changes when a file of these settings does, such as a password or a certificate."""
        return tuple(_stamp(path) for path in (*self._secret_files(), self.ca_file, self.certificate_file))

    def readable_by_others(self) -> list[Path]:
        """Return the files with secrets that users other than their owner may read."""
        found = [path for path in self._secret_files() if path is not None and path.exists()]
        return [path for path in found if path.stat().st_mode & stat.S_IROTH]

    def _secret_files(self) -> tuple[Path | None, ...]:
        return self.password_file, self.client_secret_file, self.key_password_file, self.key_file

    def _tls_options(self) -> Options:
        return _present(
            {
                "ssl.ca.location": self.ca_file,
                "ssl.certificate.location": self.certificate_file,
                "ssl.key.location": self.key_file,
                "ssl.key.password": _secret("key-password-file", self.key_password_file),
            }
        )

    def _sasl_options(self) -> Options:
        if self.mechanism == "oauthbearer":
            return {"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc"} | _present(
                {
                    "sasl.oauthbearer.token.endpoint.url": self.token_url,
                    "sasl.oauthbearer.client.id": self.client_id,
                    "sasl.oauthbearer.client.secret": _secret("client-secret-file", self.client_secret_file),
                    "sasl.oauthbearer.scope": self.scope,
                }
            )
        return {"sasl.mechanism": self.mechanism.upper()} | _present(
            {"sasl.username": self.username, "sasl.password": _secret("password-file", self.password_file)}
        )


def _present(options: dict[str, str | Path | None]) -> Options:
    return {key: str(value) for key, value in options.items() if value}


def _keeps_secrets(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _secret(key: str, path: Path | None) -> str | None:
    """The first line of the file, since editors end a file with a line feed that is no part of a password."""
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"kafka.security.{key}: {path} cannot be read: {error}") from error
    secret = text.split("\n", 1)[0].rstrip("\r")
    if not secret:
        raise ConfigError(f"kafka.security.{key}: the first line of {path} is empty")
    return secret
