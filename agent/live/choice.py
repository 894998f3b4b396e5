# SPDX-License-Identifier: Apache-2.0
"""Which of a host's traffic a live program shows.

Ports, namespaces and cgroups are decided in the kernel, so that the rest costs nothing; processes are decided
here, since an arrival has none.
"""

from typing import NamedTuple

import msgspec

from agent.kernel.settings import CaptureSettings
from agent.service import capture_settings
from agent.settings import CaptureSection
from schemas.batch import Process


class Choice(NamedTuple):
    """All empty = everything."""

    ports: tuple[int, ...] = ()
    """At either end."""
    netns: tuple[str, ...] = ()
    """Inode numbers or paths."""
    cgroups: tuple[str, ...] = ()
    """Ids or paths: of the process that made the socket."""
    pids: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    """Of processes (comm), whole."""

    def capture(self, section: CaptureSection, *, lives: bool = False) -> CaptureSettings:
        """Return what the kernel filters: the settings, and over them what was chosen here.

        Raises:
            ConfigError: a namespace or cgroup does not exist.
        """
        over = {"ports": self.ports, "netns": self.netns, "cgroups": self.cgroups}
        section = msgspec.structs.replace(section, **{name: value for name, value in over.items() if value})
        return msgspec.structs.replace(capture_settings(section), lives=lives)

    @property
    def by_process(self) -> bool:
        """Whether processes are chosen at all."""
        return bool(self.pids or self.names)

    def wants(self, process: Process | None) -> bool:
        """Say whether a process is among those chosen; one that is not known is in no choice."""
        if not self.by_process:
            return True
        if process is None or not process.pid:
            return False
        return (not self.pids or process.pid in self.pids) and (not self.names or process.name in self.names)
