# SPDX-License-Identifier: Apache-2.0
"""What librdkafka says of a failed way to Kafka, with the setting to look at and the remedy.

Pure. What is not known here is passed on as it was said; nothing here is ever a secret, which librdkafka
does not say and settings do not hold.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

_NOISE = re.compile(r" \((after \d+ms )?in state \w+(, \d+ identical error\(s\) suppressed)?\)$")
_WHERE = re.compile(r"^\w+://(?P<where>[^/]+)/\w+: ")
_VAGUE = re.compile(r"^\d+/\d+ brokers are down$|^Local: Message timed out$")
_FILES = {
    "ssl.ca.location": "ca-file",
    "ssl.certificate.location": "certificate-file",
    "ssl.key.location": "key-file",
    "ssl.key.password": "key-password-file",
}


class _Known(NamedTuple):
    """A part of librdkafka's words, and what to do about it."""

    words: str
    settings: str
    remedy: str


_KNOWN = (
    _Known(
        "certificate verify failed",
        "ca-file",
        "must hold the authority that signed the broker's certificate, which must be valid now and made out "
        "to the name in kafka.bootstrap-servers",
    ),
    _Known(
        "alert certificate required", "certificate-file, key-file", "this listener asks for a certificate"
    ),
    _Known(
        "alert certificate expired",
        "certificate-file",
        "the broker says that it has expired: put a new one there",
    ),
    _Known("alert unknown ca", "certificate-file", "the broker does not know the authority that signed it"),
    _Known("alert bad certificate", "certificate-file", "the broker refuses it"),
    _Known(
        "to a PLAINTEXT broker listener", "tls", "is true and this port speaks no TLS: another port, or false"
    ),
    _Known("to a SSL broker listener", "tls", "is false and this port wants TLS: another port, or true"),
    _Known(
        "Unsupported SASL mechanism",
        "mechanism",
        "must be one of those that the broker supports on this port",
    ),
    _Known(
        "Request not valid in current SASL state",
        "mechanism",
        "this port asks for none: another port, or none",
    ),
    _Known("invalid_client", "client-id, client-secret-file", "the token server refuses them"),
    _Known(
        "acquire SASL OAUTHBEARER token",
        "token-url",
        "must be that of a token server which answers from here",
    ),
    _Known(
        '"invalid_token"', "token-url, scope", "the broker refuses the token: is it made for this cluster?"
    ),
    _Known(
        "SASL authentication error",
        "username, password-file",
        "must be those of a user that the broker knows",
    ),
    _Known(
        "SASL handshake failed", "mechanism", "must be one of those that the broker supports on this port"
    ),
)


def explained(said: str) -> str:
    """Return librdkafka's words without its noise, and the settings to look at where they are known."""
    found = _WHERE.match(said)
    text = _NOISE.sub("", said[found.end() :] if found else said)
    if found:
        text = f"{found['where']}: {text}"
    for known in _KNOWN:
        if known.words in said:
            names = ", ".join(f"kafka.security.{name}" for name in known.settings.split(", "))
            return f"{text} ({names}: {known.remedy})"
    return text


def unusable(said: str, options: Mapping[str, object]) -> str:
    """Return why a client cannot be made of these options, with the settings that they come from."""
    for name, key in _FILES.items():
        if name in said:
            path = options.get(name)
            hint = "" if "password" in name or path is None else f"{path}: "
            return f"kafka.security.{key}: {hint}{said}"
    return f"kafka.options: {said}"


def tells_a_cause(said: str) -> bool:
    """Whether this says more than that no broker could be reached."""
    return _VAGUE.match(said) is None


def leaves_open_why(said: str) -> bool:
    """Whether a look of our own at the broker may tell more."""
    return "certificate verify failed" in said or not is_of_security(said)


def kind(said: str) -> str | None:
    """Return the settings that a refusal has to do with, None where the way to Kafka was not refused."""
    return next((known.settings for known in _KNOWN if known.words in said), None)


def is_of_security(said: str) -> bool:
    """Whether the way to Kafka was refused, rather than not there."""
    return kind(said) is not None
