# SPDX-License-Identifier: Apache-2.0
"""Looks at a spool without touching it, beside an agent that runs or after one that ended."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.spool import file as files
from agent.spool.errors import FileDamagedError, FileNewerError, FileUnwritableError
from agent.spool.file import SpoolFile
from agent.spool.folder import SUFFIX, account, numbered


class FileReport(msgspec.Struct, kw_only=True, frozen=True):
    """What is known of one file; what is left counts, not what was drained already."""

    file: str
    host: str = ""
    boot: str = ""
    epoch: int = 0
    """Realtime nanoseconds at which the agent run started that packed the records."""
    shards: int = 0
    records: int = 0
    events: int = 0
    bytes: int = 0
    """On the disk."""
    oldest_ns: int | None = None
    """Realtime nanoseconds of the oldest event."""
    bad_records: int = 0
    """Damaged; found by ``verify`` only."""
    problem: str = ""
    """Why nothing, or not all, is known."""


def reports(folder: Path, *, verify: bool) -> Iterator[FileReport]:
    """Yield a report for each file, oldest first; ``verify`` compares the checksums of all records."""
    for number, path in numbered(folder):
        try:
            yield _report(number, path, verify=verify)
        except FileNotFoundError:
            continue  # drained meanwhile
        except (FileDamagedError, FileNewerError, FileUnwritableError) as error:
            if path.exists():
                yield FileReport(file=path.name, bytes=sum(files.size(path)), problem=str(error))
    for path in sorted(folder.glob(f"*{SUFFIX}.bad")):
        yield FileReport(file=path.name, bytes=sum(files.size(path)), problem="set aside: it was damaged")


def _report(number: int, path: Path, *, verify: bool) -> FileReport:
    book = account(number, path, None, write=False)
    bad, problem = 0, "records that cannot be read" if book.damaged else ""
    if verify:
        opened = SpoolFile(path, write=False)
        try:
            bad = sum(opened.read(row) is None for row in range(1, book.rows + 1))
            problem = opened.damage() or (f"{bad} records are damaged" if bad else problem)
        finally:
            opened.close()
    host, boot, epoch, shards = book.run
    return FileReport(
        file=path.name,
        host=host,
        boot=boot,
        epoch=epoch,
        shards=shards,
        records=book.records_left,
        events=book.events_left,
        bytes=book.bytes,
        oldest_ns=book.oldest_ns(),
        bad_records=bad,
        problem=problem,
    )
