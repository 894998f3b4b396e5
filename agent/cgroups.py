# SPDX-License-Identifier: Apache-2.0
"""The cgroups (v2) of this host as (id, path), by walking their folders.

The id that the kernel tells is the inode number of the cgroup's folder, and no id comes twice in one boot.
``open_by_handle_at`` would find one folder by its id at once, but it asks for CAP_DAC_READ_SEARCH, the power
to read every file of the host, which the agent is not given (deploy/). So the folders are walked: a folder
without folders in it has two links and is never opened, which leaves 3 µs a cgroup. What cannot be read or
vanishes meanwhile is passed over. Cgroups of version 1 have other ids and are not looked at.
"""

import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
ROOT_ID = 1
"""Of the cgroup that holds all others."""
_LEAF_LINKS = 2
_ESCAPED = re.compile(r"\\([0-7]{3})")


def mount_point(mounts: Path = MOUNTS) -> Path | None:
    """Return where the cgroups of version 2 are mounted, None where they are not.

    Of several mounts it is the one that shows most: a folder's id is lower than those of the folders in it.
    """
    lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    found = [fields[4] for fields in map(str.split, lines) if fields[fields.index("-") + 1] == "cgroup2"]
    points = [_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), point) for point in found]
    ids = [(number, point) for point in points if (number := _inode(point))]
    return Path(min(ids)[1]) if ids else None


def walk(root: Path) -> Iterator[tuple[int, str]]:
    """Yield (id, path below ``root`` with a leading slash) of each cgroup, those near the root first."""
    number = _inode(str(root))
    if not number:
        return
    yield number, "/"
    waiting = deque([""])
    while waiting:
        above = waiting.popleft()
        for number, name, is_leaf in _folders(f"{root}{above}"):
            path = f"{above}/{name}"
            if not is_leaf:
                waiting.append(path)
            yield number, path


def _folders(path: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (id, name, whether it has none itself) of each folder in a folder."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    try:
                        links = entry.stat(follow_symlinks=False).st_nlink
                    except OSError:
                        continue
                    yield entry.inode(), entry.name, links == _LEAF_LINKS
    except OSError:
        return


def _inode(path: str) -> int:
    try:
        return Path(path).stat().st_ino
    except OSError:
        return 0
