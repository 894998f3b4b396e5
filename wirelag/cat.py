# SPDX-License-Identifier: Apache-2.0
"""``wirelag cat``: any of our topics as JSON lines, one object an event or record, whatever records hold."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from common.errors import ConfigError
from wirelag.options import Config, Set, settings_of

if TYPE_CHECKING:
    pass

Bootstrap = Annotated[
    str, Parameter("--bootstrap", show_default=False, help="host:port of a broker, over --config")
]


def cat(  # noqa: PLR0913 - options of a command
    topic: Annotated[str, Parameter(help="any topic")],
    /,
    *,
    bootstrap: Bootstrap = "",
    config: Config = None,
    set_: Set = (),
    batches: Annotated[
        bool, Parameter("--batches", negative="", show_default=False, help="heads of event records only")
    ] = False,
    limit: Annotated[int | None, Parameter("--limit", help="stop after so many lines")] = None,
    follow: Annotated[
        bool, Parameter("--follow", negative="", show_default=False, help="wait for more at the end")
    ] = False,
    from_beginning: Annotated[
        bool, Parameter(show_default=False, help="start at the oldest record, or at the end")
    ] = True,
    json: Annotated[
        bool, Parameter("--json", negative="", show_default=False, help="JSON lines; there is no other form")
    ] = True,
) -> None:
    """Print a topic as JSON lines: events, heartbeats, latencies, poison.

    Joins no group and changes nothing. What cannot be read is shown as such, with the reason.

    For example:

    wirelag cat wirelag.events.v1 --bootstrap localhost:9092 --limit 10

    wirelag cat wirelag.events.v1 --batches

    wirelag cat wirelag.control.v1 --follow --no-from-beginning
    """
    from wirelag.kafka import records
    from wirelag.output import write_json

    del json
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit: found {limit}; allowed is 1 or more")
    if not from_beginning and not follow:
        raise ConfigError("--no-from-beginning shows nothing without --follow")
    settings = settings_of(config, set_, "kafka.bootstrap-servers", bootstrap).kafka
    found = records(settings, topic, from_beginning=from_beginning, follow=follow)
    write_json(islice(_lines(found, heads=batches), limit), flush=follow)


def _lines(found: Iterable[Any], *, heads: bool) -> Iterator[dict[str, Any]]:
    from wirelag.lines import EVENTS, lines

    for record in found:
        for line in lines(record.value, record.headers, heads=heads):
            if line["kind"] not in EVENTS:
                line["record"] = f"{record.topic}/{record.partition}/{record.offset}"
                line["key"] = record.key.decode(errors="replace") if record.key else None
            yield line
