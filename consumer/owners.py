# SPDX-License-Identifier: Apache-2.0
"""The file that says who owns what: one line each, ``PATTERN OWNER``, the first that matches an end decides.

PATTERN has no spaces (``?`` matches one); OWNER is the rest of the line. Lines that begin with ``#`` and
empty ones say nothing. What is wrong with a line is told with its number, all of them at once.
"""

from pathlib import Path

from common.errors import ConfigError
from consumer.engine.names import Owner

KEY = "consumer.owners-file"


def read_owners(path: Path) -> tuple[Owner, ...]:
    """Read the file.

    Raises:
        ConfigError: it cannot be read, or a line is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{KEY}: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{KEY}: {path} is no text in UTF-8: {error}") from error
    found, wrong = [], []
    for number, line in enumerate(lines, start=1):
        words = line.split(maxsplit=1)
        if not words or words[0].startswith("#"):
            continue
        if len(words) == 1 or not words[1].strip().isprintable():
            wrong.append(f"{KEY}: {path}:{number}: found {line.strip()!r}; allowed is PATTERN OWNER")
        else:
            found.append(Owner(words[0], words[1].strip()))
    if wrong:
        raise ConfigError("\n".join(wrong))
    return tuple(found)
