# SPDX-License-Identifier: Apache-2.0
"""The table ``[spool]``."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from agent.spool.limits import FILES_AT_LEAST, Limits, WhenFull
from common.config import Settings
from common.units import ByteSize, Duration

_LEAST_FILE = ByteSize.parse("64KiB")
_LEAST_DRAIN = ByteSize.parse("64KiB")


class SpoolSection(Settings, frozen=True):
    """Where on disk records wait that Kafka does not take, how many, and how they come out again."""

    path: Annotated[
        str, Meta(description="folder of this agent alone; empty: no spool, records wait in memory only")
    ] = "/var/lib/wirelag/spool"
    max_bytes: Annotated[ByteSize, Meta(description="Most that it may take of the disk")] = ByteSize.parse(
        "512MiB"
    )
    max_disk_share: Annotated[
        float, Meta(gt=0, le=1, description="Most that it may take of the disk's size, if that is less")
    ] = 0.05
    file_bytes: Annotated[ByteSize, Meta(description="Size of one file")] = ByteSize.parse("64MiB")
    when_full: Annotated[WhenFull, Meta(description="Which records give way")] = "drop-oldest"
    after: Annotated[Duration, Meta(description="How long Kafka may take for a record")] = Duration(10)
    drain: Annotated[
        ByteSize, Meta(description="Bytes a second to give back, above those that come in meanwhile")
    ] = ByteSize.parse("4MiB")

    @property
    def limits(self) -> Limits:
        """How much the folder may hold."""
        return Limits(self.max_bytes, self.max_disk_share, self.file_bytes, self.when_full)

    def __post_init__(self) -> None:
        """Refuse what could not work."""
        most = ByteSize(self.max_bytes // FILES_AT_LEAST)
        if not _LEAST_FILE <= self.file_bytes <= most:
            allowed = f"{_LEAST_FILE} to a quarter of max-bytes ({most})"
            raise ValueError(f"file-bytes: found {self.file_bytes}; allowed is {allowed}")
        if self.drain < _LEAST_DRAIN:
            raise ValueError(f"drain: found {self.drain}; allowed is {_LEAST_DRAIN} or more")
        if self.after <= 0:
            raise ValueError(f"after: found {self.after}; allowed is more than 0s")
        if self.path and not Path(self.path).is_absolute():
            raise ValueError(f"path: found {self.path!r}; allowed is an absolute path, or nothing")

    @property
    def folder(self) -> Path | None:
        """The folder, None where there is to be no spool."""
        return Path(self.path) if self.path else None
