# SPDX-License-Identifier: Apache-2.0
"""One HTTP request, as a probe or Prometheus makes it."""

import urllib.error
import urllib.request


def get(address: tuple[str, int], path: str) -> tuple[int, str]:
    """Return status and body."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    try:
        with urllib.request.urlopen(f"http://{host}:{address[1]}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
