# SPDX-License-Identifier: Apache-2.0
"""One agent for each host name and choice of what to trace: two would tell of the same events twice.

Held is an address in the kernel's abstract namespace, which goes with the process however it ends. Two agents
of different but overlapping choices are not found out.
"""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import RuntimeFailure


@contextmanager
def only_agent(host: str, traced: str) -> Iterator[None]:
    """Hold the name while the block runs; ``traced`` is any text that says what is traced.

    Raises:
        RuntimeFailure: another process of this machine holds it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as holder:
        try:
            digest = hashlib.blake2b(f"{host}/{traced}".encode(), digest_size=16).hexdigest()
            holder.bind(f"\0wirelag-agent/{digest}")
        except OSError as error:
            raise RuntimeFailure(
                f"an agent of host {host} traces the same on this machine already: end it first, "
                "or give this one something else to trace (capture)"
            ) from error
        yield
