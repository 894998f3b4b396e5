# SPDX-License-Identifier: Apache-2.0
"""The commands ``spool ls``, ``verify``, ``drain`` and ``drop``: what waits on this host's disk for Kafka.

``ls`` and ``verify`` read only and work beside a running agent; the other two need the spool for themselves.
"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from agent.commands.options import Config, Json, Overrides, settings_of
from common.errors import ConfigError, RuntimeFailure
from common.log import setup_logging
from common.options import duration

if TYPE_CHECKING:
    from agent.settings import AgentSettings
    from agent.spool.inspect import FileReport
    from agent.spool.store import Store

POLL_SECONDS = 0.02
QUICKLY = 2**40
"""Bytes a second: a person who drains does not want to wait."""

spool = App(name="spool", help="Shows, checks and empties what waits on the disk for Kafka.")


@spool.command
def ls(*, json: Json = False, config: Config = None, overrides: Overrides = None) -> None:
    """Say what is in the spool, a line for each file, oldest first.

    Args:
        json: one object a file.
        config: as for run (only [spool] is used).
        overrides: as for run.
    """
    _show(list(_reports(settings_of(config, overrides), verify=False)), json=json)


@spool.command
def verify(*, json: Json = False, config: Config = None, overrides: Overrides = None) -> None:
    """Read every record and compare its checksums. Exit 1: something is damaged.

    Args:
        json: one object a file.
        config: as for run (only [spool] is used).
        overrides: as for run.
    """
    found = list(_reports(settings_of(config, overrides), verify=True))
    _show(found, json=json)
    if any(one.problem for one in found):
        sys.exit(1)


@spool.command
def drain(*, config: Config = None, overrides: Overrides = None, patience: str = "60s") -> None:
    """Deliver everything to Kafka, without an agent. Exit 1: something is left.

    Args:
        config: as for run.
        overrides: as for run.
        patience: give up when Kafka took nothing for so long.
    """
    from agent.delivery.pace import Pace  # noqa: PLC0415 - loads the Kafka client
    from agent.delivery.spooled import SpooledDelivery  # noqa: PLC0415
    from agent.ledger import Ledger  # noqa: PLC0415
    from agent.spool.keeper import Keeper  # noqa: PLC0415

    settings, seconds = settings_of(config, overrides), duration("--patience", patience)
    setup_logging(settings.service.log_format, "warning", service="wirelag-agent")
    keeper = Keeper(_store(settings, settings.kafka.shards), settings.kafka.buffer)
    delivery = SpooledDelivery(settings.kafka, Ledger(), keeper, Pace(QUICKLY, 0.0), seconds)
    delivery.check_topic()
    delivery.begin()
    try:
        last = time.monotonic(), delivery.waiting
        while delivery.waiting and time.monotonic() - last[0] < seconds:
            delivery.poll()
            time.sleep(POLL_SECONDS)
            if delivery.waiting != last[1]:
                last = time.monotonic(), delivery.waiting
        left = delivery.waiting
        delivery.close(0.0, time.monotonic)
    finally:
        delivery.end()
    events = delivery.earlier.events
    done = events.pop("delivered", 0)
    print(f"{delivery.records:,} records of {done:,} events delivered")
    if events:
        print("lost: " + ", ".join(f"{reason} {count:,}" for reason, count in events.items()))
    if left:
        raise RuntimeFailure(f"{left:,} records are left ({delivery.last_error or 'no error was told'})")


@spool.command
def drop(
    *,
    yes: Annotated[bool, Parameter(negative="")] = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Throw everything in the spool away, and say what it was.

    Args:
        yes: do it; without it nothing is thrown away.
        config: as for run (only [spool] is used).
        overrides: as for run.
    """
    from agent.spool import file as files  # noqa: PLC0415 - only where it is needed
    from agent.spool.folder import SUFFIX, Folder  # noqa: PLC0415

    settings = settings_of(config, overrides)
    path = _path(settings)
    if not _is_there(path):
        print("the spool is empty")
        return
    folder = Folder(path)
    folder.take()
    try:
        found = list(_reports(settings, verify=False))
        _show(found, json=False)
        if found and not yes:
            raise ConfigError("nothing was thrown away: say --yes if these records are not wanted")
        for one in (*path.glob(f"*{SUFFIX}"), *path.glob(f"*{SUFFIX}.bad")):
            files.remove(one)
        if found:
            print("thrown away")
    finally:
        folder.release()


def lines(found: "list[FileReport]", now_ns: int) -> list[str]:
    """Return reports as people read them; ``now_ns`` is CLOCK_REALTIME."""
    from agent.live import show  # noqa: PLC0415 - only where it is needed

    if not found:
        return ["the spool is empty"]
    rows = []
    for one in found:
        age = "-" if one.oldest_ns is None else show.duration(max(0, now_ns - one.oldest_ns))
        run = f"{show.clean(one.host)}/{one.epoch}" if one.epoch else "-"
        size = f"{one.records:>9,} records {one.events:>12,} events {show.size(one.bytes):>10}"
        rows.append(f"{one.file:<24} {size}  oldest {age:<10} run {run}  {show.clean(one.problem)}".rstrip())
    sums = (sum(one.records for one in found), sum(one.events for one in found))
    held = show.size(sum(one.bytes for one in found))
    return [*rows, f"{len(found)} files, {sums[0]:,} records, {sums[1]:,} events, {held}"]


def _show(found: "list[FileReport]", *, json: bool) -> None:
    import msgspec  # noqa: PLC0415 - only where it is needed

    texts = [msgspec.json.encode(one).decode() for one in found] if json else lines(found, time.time_ns())
    for text in texts:
        print(text)


def _reports(settings: "AgentSettings", *, verify: bool) -> "list[FileReport]":
    from agent.spool.inspect import reports  # noqa: PLC0415 - only where it is needed

    path = _path(settings)
    return list(reports(path, verify=verify)) if _is_there(path) else []


def _is_there(path: Path) -> bool:
    """Say whether there is a folder.

    Raises:
        RuntimeFailure: it cannot be read, or is something else.
    """
    try:
        next(path.iterdir(), None)
    except FileNotFoundError:
        return False
    except PermissionError as error:
        raise RuntimeFailure(f"{path} cannot be read: run as root, or as the agent's user") from error
    except NotADirectoryError as error:
        raise RuntimeFailure(f"{path} is no folder: is spool.path that of the agent?") from error
    return True


def _store(settings: "AgentSettings", shards: int) -> "Store":
    from agent.spool.record import NOBODY  # noqa: PLC0415 - only where it is needed
    from agent.spool.store import Store  # noqa: PLC0415

    return Store(_path(settings), settings.spool.limits, NOBODY._replace(shards=shards), 0)


def _path(settings: "AgentSettings") -> Path:
    folder = settings.spool.folder
    if folder is None:
        raise ConfigError("there is no spool: spool.path is empty")
    return folder
