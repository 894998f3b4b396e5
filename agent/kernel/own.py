# SPDX-License-Identifier: Apache-2.0
"""Where this process listens: what arrives there is its own, before it has touched it."""

from collections.abc import Iterator
from pathlib import Path

_LISTEN = "0A"
_PROC = Path("/proc/self")


def listening_keys(proc: Path = _PROC) -> list[int]:
    """Return namespace << 16 | port of each TCP socket this process listens on, in its own namespace."""
    inodes = _socket_inodes(proc / "fd")
    namespace = (proc / "ns" / "net").stat().st_ino
    tables = [proc / "net" / name for name in ("tcp", "tcp6")]
    rows = (line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:])
    ports = {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTEN and row[9] in inodes}
    return [namespace << 16 | port for port in sorted(ports)]


def _socket_inodes(folder: Path) -> set[str]:
    return {name[8:-1] for name in _links(folder) if name.startswith("socket:[")}


def _links(folder: Path) -> Iterator[str]:
    for file in folder.iterdir():
        try:
            yield str(file.readlink())
        except OSError:  # closed meanwhile
            continue
