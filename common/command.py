# SPDX-License-Identifier: Apache-2.0
"""The one place where errors become messages and exit codes: around the action of a command line."""

import os
import signal
import sys
from collections.abc import Callable

from common.errors import WirelagError


def run_command(name: str, action: Callable[[], None]) -> int:
    """Run a command and return its exit code: 0, or its error's, whose message goes to standard error."""
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0
