# SPDX-License-Identifier: Apache-2.0
"""The one place where errors become messages and exit codes: around the action of a command line."""

import io
import logging
import os
import signal
import sys
from collections.abc import Callable

from common.errors import WirelagError


def run_command(name: str, action: Callable[[], None]) -> int:
    """Run a command and return its exit code: 0, or its error's, whose message goes to standard error.

    What the terminal's character set lacks is written as an escape. Until a service sets logging up,
    libraries are silent: what is wrong is in the error's message.
    """
    logging.basicConfig(handlers=[logging.NullHandler()])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        action()
        sys.stdout.flush()
    except WirelagError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"{name}: {line}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader (head, less) has gone, which is no failure
        _write_nothing_more()
    except OSError as error:  # of the system, and not foreseen: a full disk behind standard output, say
        _write_nothing_more()
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"{name}: {where}{error.strerror or error}\n")
        return 1
    return 0


def _write_nothing_more() -> None:
    """Send standard output nowhere: its rest would fail again at the interpreter's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
