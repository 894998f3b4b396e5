# SPDX-License-Identifier: Apache-2.0
"""The switch that needs neither Kafka nor the agent's help: a file that is there, or not."""

import os
from pathlib import Path

MOST_BYTES = 200


def reason(path: Path) -> str | None:
    """Return why nothing may be traced: the file's first line, empty if it says nothing; None: no such file.

    A file that is there and cannot be read counts.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return "" if os.path.lexists(path) else None
    try:
        text = os.read(descriptor, MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        text = ""
    finally:
        os.close(descriptor)
    line = text.partition("\n")[0].strip()
    return "".join(letter if letter.isprintable() else "?" for letter in line)
