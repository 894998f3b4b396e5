# SPDX-License-Identifier: Apache-2.0
"""The table ``[brakes]``."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from common.config import Settings
from common.units import ByteSize


class BrakesSection(Settings, frozen=True):
    """What the agent may cost its host, and how it is stopped. With all limits 0 nothing is ever thinned."""

    max_cpu_percent: Annotated[
        float, Meta(ge=0, le=100_000, description="of one core, agent and BPF programs together; 0: no limit")
    ] = 2.0
    max_events_per_second: Annotated[
        int, Meta(ge=0, description="events kept, over some seconds; 0: no limit")
    ] = 0
    max_bytes_per_day: Annotated[
        ByteSize,
        Meta(description="of records before compression, from midnight to midnight UTC; 0: no limit"),
    ] = ByteSize(0)
    off_file: Annotated[
        Path, Meta(description="while this file is there nothing is traced; its first line says why")
    ] = Path("/etc/wirelag/off")

    def __post_init__(self) -> None:
        """Refuse a path whose meaning would depend on where the agent was started."""
        if not self.off_file.is_absolute():
            raise ValueError(f"off-file: found {str(self.off_file)!r}; allowed is an absolute path")

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return bool(self.max_cpu_percent or self.max_events_per_second or self.max_bytes_per_day)
