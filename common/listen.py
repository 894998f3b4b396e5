# SPDX-License-Identifier: Apache-2.0
"""Where to listen, as it is written in settings. Apart from what listens, which costs memory."""

from common.errors import ConfigError


def parse_listen(text: str) -> tuple[str, int]:
    """`127.0.0.1:9464` or `[::1]:9464` as host and port; with a port alone (`9464`) the host is 127.0.0.1.

    Raises:
        ConfigError: it is none of these.
    """
    host, colon, port = text.rpartition(":")
    host = host if colon else "127.0.0.1"
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:  # noqa: PLR2004 - the largest port
        raise ConfigError(
            f"metrics-listen: found {text!r}; allowed is host:port or a port, such as 127.0.0.1:9464"
        )
    return host.strip("[]"), int(port)
