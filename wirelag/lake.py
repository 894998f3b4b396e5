# SPDX-License-Identifier: Apache-2.0
"""``wirelag lake``: housekeeping of the lake, whether it is whole, columns for one of an earlier version.

Each is a process of its own beside the consumers. Exit 1: something could not be done, or is wrong.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from common.errors import RuntimeFailure
from wirelag.options import Config, JsonLines, Set, settings_of

if TYPE_CHECKING:
    from consumer.settings import ConsumerSettings

app = App(name="lake")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """Which lake."""

    lake: Annotated[
        str, Parameter("--lake", show_default=False, help="folder or URI: short for --set lake.uri=…")
    ] = ""
    config: Config = None
    set_: Set = ()


HERE = Where()


@app.command
def maintain(
    *,
    every: Annotated[
        str, Parameter("--every", show_default=False, help="do it again and again, so often (5m); else once")
    ] = "",
    json: JsonLines = False,
    where: Where = HERE,
) -> None:
    """Merge small files, delete old hours, states and garbage; beside consumers at any time.

    For example:

    wirelag lake maintain --lake ./lake

    wirelag lake maintain --config /etc/wirelag/consumer.toml --every 5m

    Args:
        every: how often.
        json: for programs.
        where: which lake.
    """
    from lake.maintain import Maintainer
    from wirelag.rounds import follow, rows_of

    settings = _settings(where)
    own = settings.lake
    maintainer = Maintainer.open(own.uri, own.storage_options, own.maintain, own.keep)
    if every:
        follow(maintainer, settings, every)
        return
    made = maintainer.run()
    _show(rows_of(made), _DONE, json=json)
    if made.failed:
        raise RuntimeFailure("\n".join(made.failed))


@app.command
def check(
    *,
    deep: Annotated[
        bool, Parameter("--deep", negative="", show_default=False, help="read every row of every file")
    ] = False,
    json: JsonLines = False,
    where: Where = HERE,
) -> None:
    """Say whether all is there that the table names, and what to do where not; changes nothing.

    For example:

    wirelag lake check --lake ./lake --deep

    Args:
        deep: files are read to their last row.
        json: for programs.
        where: which lake.
    """
    from msgspec import to_builtins

    from lake.check import check as run

    own = _settings(where).lake
    found = run(own.uri, own.storage_options, deep=deep)
    faults = [to_builtins(fault) for fault in found.faults]
    if json:
        _show([*faults, {**to_builtins(found), "faults": len(faults)}], (), json=True)
    else:
        for fault in found.faults:
            print(f"{fault.object}: {fault.found}; {fault.remedy}")
        print(
            f"version {found.version}: {found.files:,} files of {found.bytes:,} bytes, "
            f"{found.partitions} partitions, {found.states:,} states; "
            f"{found.orphans:,} files of {found.orphan_bytes:,} bytes that nothing needs"
        )
    if faults:
        raise RuntimeFailure(f"{len(faults)} faults in {own.uri}")


@app.command
def migrate(
    *,
    dry_run: Annotated[
        bool, Parameter("--dry-run", negative="", show_default=False, help="only say what would be done")
    ] = False,
    where: Where = HERE,
) -> None:
    """Give a lake of an earlier version the columns that came since, as a consumer does when it starts.

    For example:

    wirelag lake migrate --lake ./lake --dry-run

    Args:
        dry_run: nothing is changed.
        where: which lake.
    """
    from lake.evolution import add_missing, open_table

    own = _settings(where).lake
    storage, table = open_table(own.uri, own.storage_options)
    missing = table.missing_columns()
    if missing and not dry_run:
        add_missing(table, storage)
    done = "would be added" if dry_run else "added"
    print(f"columns {done}: {', '.join(missing)}" if missing else "nothing to do: no column is missing")


def _show(rows: Iterable[dict[str, Any]], columns: tuple[Any, ...], *, json: bool) -> None:
    from wirelag.output import Column, write_json, write_table

    if json:
        write_json(rows)
    else:
        write_table([Column(*column) for column in columns], rows)


_DONE = (
    ("action", "ACTION"),
    ("kind", "KIND"),
    ("times", "TIMES", "count"),
    ("removed", "REMOVED", "count"),
    ("added", "ADDED", "count"),
    ("before_bytes", "BYTES BEFORE", "count"),
    ("after_bytes", "AFTER", "count"),
    ("rows", "ROWS", "count"),
)


def _settings(where: Where) -> "ConsumerSettings":
    return settings_of(where.config, where.set_, "lake.uri", where.lake)
