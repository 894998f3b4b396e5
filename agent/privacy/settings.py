# SPDX-License-Identifier: Apache-2.0
"""The table ``[privacy]``."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from common.config import Settings

IpMode = Literal["raw", "truncate", "pseudonym"]
Shown = Literal["raw", "hash", "off"]


class PrivacySection(Settings, frozen=True):
    """What of addresses and names leaves the host, the spool on its disk included."""

    ip_mode: Annotated[
        IpMode, Meta(description="addresses: raw, truncate (to /24 and /48), or pseudonym (needs key-file)")
    ] = "raw"
    comm: Annotated[Shown, Meta(description="names of processes: raw, hash (needs key-file), or off")] = "raw"
    labels: Annotated[
        Shown, Meta(description="what agent.labels tells: raw, hash of each value (needs key-file), or off")
    ] = "raw"
    key_file: Annotated[
        Path | None,
        Meta(description="file with the fleet-wide secret of pseudonyms and hashes, the same on all hosts"),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what needs a key and has none: without one, everybody could undo it by trying."""
        if self.needs_key and self.key_file is None:
            wanted = [f"ip-mode {self.ip_mode}"] if self.ip_mode == "pseudonym" else []
            wanted += [f"{name} hash" for name in ("comm", "labels") if getattr(self, name) == "hash"]
            raise ValueError(f"key-file: not set; {', '.join(wanted)} needs a file of 16 bytes or more")

    @property
    def needs_key(self) -> bool:
        """Whether anything is keyed."""
        return self.ip_mode == "pseudonym" or "hash" in {self.comm, self.labels}
