# SPDX-License-Identifier: Apache-2.0
"""What housekeeping is told: `[lake.maintain]` and `[lake.keep]`, with the limits that keep it safe."""

from typing import Annotated

from msgspec import Meta
from msgspec.structs import fields

from common.config import Settings
from common.units import ByteSize, Duration

VACUUM_HOURS = 168
"""Younger files are never garbage: a suspended writer may be about to commit them."""
_HOUR = Duration.parse("1h")
_WEEK = Duration(VACUUM_HOURS * _HOUR)
Kept = Annotated[Duration | None, Meta(description="How long its rows are kept; without it for ever")]


class KeepSettings(Settings, frozen=True):
    """The table `[lake.keep]`: by kind. Hours that are over so long are deleted whole."""

    match: Kept = None
    histogram: Kept = None
    connection: Kept = None
    unmatched: Kept = None
    exchange: Kept = None
    ledger: Kept = None
    connect: Kept = None
    close: Kept = None
    retransmit: Kept = None
    agent: Kept = None
    reading: Kept = None
    clock: Kept = None
    clock_solution: Kept = None
    rollup: Kept = None
    exemplar: Kept = None
    progress: Annotated[
        Duration | None,
        Meta(
            description="How long progress rows are kept, except those that a take-over needs; 168h or more"
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse times after which what is needed would be gone."""
        for info in fields(type(self)):
            least = _WEEK if info.name == "progress" else _HOUR
            _require_at_least(info.encode_name, getattr(self, info.name), least)


class MaintainSettings(Settings, frozen=True):
    """The table `[lake.maintain]`."""

    open_file: Annotated[
        ByteSize, Meta(description="Size to which files of an hour that still fills are merged")
    ] = ByteSize.parse("32MiB")
    closed_file: Annotated[
        ByteSize, Meta(description="Size to which files of an hour that is over are merged")
    ] = ByteSize.parse("256MiB")
    closed_after: Annotated[
        Duration, Meta(description="Time after its end from which an hour counts as over")
    ] = Duration.parse("15m")
    keep_states: Annotated[
        Duration, Meta(description="How long state objects are kept beyond the two newest of each partition")
    ] = Duration.parse("24h")
    vacuum_every: Annotated[
        Duration, Meta(description="Time between two searches for files that nothing refers to")
    ] = Duration.parse("7d")
    vacuum_retention: Annotated[
        Duration,
        Meta(description="Least age of a file that nothing refers to for it to be deleted; 168h or more"),
    ] = _WEEK
    metrics_listen: Annotated[
        str, Meta(description="host:port, or a port on 127.0.0.1, for /metrics of `--every`; empty is off")
    ] = ""

    def __post_init__(self) -> None:
        """Refuse what would not be safe, or of no use."""
        mebibyte = ByteSize.parse("1MiB")
        if self.open_file < mebibyte:
            raise ValueError(f"open-file: found {self.open_file}; allowed is {mebibyte} or more")
        if self.closed_file < self.open_file:
            raise ValueError(f"closed-file: found {self.closed_file}; allowed is open-file or more")
        _require_at_least("vacuum-retention", self.vacuum_retention, _WEEK)
        _require_at_least("vacuum-every", self.vacuum_every, _HOUR)
        _require_at_least("keep-states", self.keep_states, _HOUR)


def _require_at_least(key: str, found: Duration | None, least: Duration) -> None:
    if found is not None and found < least:
        raise ValueError(f"{key}: found {found}; allowed is {least} or more")
