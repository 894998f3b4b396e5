# SPDX-License-Identifier: Apache-2.0
"""Knocks at the brokers' doors to say why a client cannot get in, where librdkafka's words leave that open.

OpenSSL tells a client of Kafka only that a certificate was not accepted, and a broker that wants TLS just
hangs up. One handshake of our own tells a wrong name, an unknown authority and an expired certificate apart.
It sends nothing but the handshake, and is for failures only.
"""

import socket
import ssl

from common.kafka_security import SecuritySettings

KNOCK_SECONDS = 3.0
_DEFAULT_PORT = 9092


def diagnosed(bootstrap: str, security: SecuritySettings) -> str | None:
    """Return what is wrong with the first broker that listens, naming the setting; None: nothing was seen."""
    for host, port in addresses(bootstrap):
        try:
            with socket.create_connection((host, port), KNOCK_SECONDS) as connection:
                return _knock(connection, host, f"{host}:{port}", security)
        except OSError:
            continue
    return None


def _knock(connection: socket.socket, host: str, where: str, security: SecuritySettings) -> str | None:
    if not security.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        answered = _shake(connection, host, context) is None
        return f"{where} speaks TLS (kafka.security.tls: must be true for this port)" if answered else None
    context = ssl.create_default_context(cafile=security.ca_file)
    error = _shake(connection, host, context)
    if error is None:
        if security.mechanism == "none" and not security.certificate_file:
            return f"{where} takes TLS and then hangs up (kafka.security.mechanism: does this port want one?)"
        return None
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"{where} does not speak TLS (kafka.security.tls: must be false for this port)"
    reason = error.verify_message.rstrip(".")
    if "mismatch" in reason:
        remedy = "kafka.bootstrap-servers: use a name that is in the certificate"
    elif "expired" in reason or "not yet valid" in reason:
        remedy = "the broker needs another certificate, or this host's clock is wrong"
    else:
        remedy = "kafka.security.ca-file: must hold the authority that signed it"
    return f"the certificate of {where} is not accepted: {reason} ({remedy})"


def _shake(connection: socket.socket, host: str, context: ssl.SSLContext) -> OSError | None:
    """Do a TLS handshake; returns why it failed."""
    try:
        context.wrap_socket(connection, server_hostname=host).close()
    except OSError as error:  # ssl.SSLError is one
        return error
    return None


def addresses(bootstrap: str) -> list[tuple[str, int]]:
    """Return (host, port) of each of the servers in a text such as `kafka1:9092,[::1]`."""
    return [_address(place.strip()) for place in bootstrap.split(",") if place.strip()]


def _address(place: str) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    if not (colon and port.isdigit()) or (":" in host and not host.startswith("[")):
        return place.strip("[]"), _DEFAULT_PORT
    return host.strip("[]"), int(port)
