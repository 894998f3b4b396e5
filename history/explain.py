# SPDX-License-Identifier: Apache-2.0
"""What figures of latency rest on, a line each that a person understands: may this number be believed?

Which tables and windows the answer came from, which hosts, what was lost on the way and why, what was left
out on purpose, how the clocks stood, which bytes no event told of, and what is withheld.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from common.shown import duration, percent
from common.units import DAY_NS, HOUR_NS, MINUTE_NS
from history import absent, unmatched
from history.clocks import clocks
from history.filters import where
from history.latency import Answer
from history.losses import WAY, losses
from history.source import Source
from history.span import Span, iso
from history.windows import LENGTHS, NAMES

COLUMNS = ("about", "text", "facts")


class Line(NamedTuple):
    """One thing to know."""

    about: str
    """windows, host, clocks, bound, sampling, coverage, complete, withheld, unmatched."""
    text: str
    facts: dict[str, Any]
    """The numbers of the text."""


def explained(source: Source, span: Span, answer: Answer, *, edge: str = "", host: str = "") -> list[Line]:
    """Return what an answer about a span rests on; ``host`` and ``edge`` as it was asked."""
    lines = list(_windows(span, answer))
    if answer.absences.behind_ns:
        behind = {"behind_ns": answer.absences.behind_ns}
        lines.append(Line("windows", absent.behind(answer.absences.behind_ns), behind))
    named = set(_hosts_of(source, span, edge, host))
    lines += _losses(source, span, named)
    if answer.absences.times:
        text = (
            f"without an agent that traced: {absent.told(answer.absences.times)}; that time is in no figure"
        )
        lines.append(Line("host", text, {"absent": [one._asdict() for one in answer.absences.times]}))
    lines += _clocks(source, span, named)
    lines += _figures(answer)
    alone = unmatched.unmatched(source, span, edge=edge, host=host, away=answer.absences.hosts)
    lines += [
        Line("unmatched", text, {"edges": [one._asdict() for one in of]})
        for text, of in unmatched.told(alone)
    ]
    return lines


_HOSTS = """
SELECT DISTINCT unnest([sender_host, receiver_host]) AS host FROM histogram
WHERE window_start_ns >= $from_ns AND window_start_ns < $to_ns {where}
UNION SELECT DISTINCT unnest([sender_host, receiver_host]) FROM rollup
WHERE window_start_ns >= $from_ns AND window_start_ns < $to_ns {where}"""


def _hosts_of(source: Source, span: Span, edge: str, host: str) -> list[str]:
    begun = Span(span.from_ns - span.from_ns % MINUTE_NS, span.to_ns)
    condition, parameters = where(begun, edge=edge, host=host)
    with source.engine({"histogram": begun, "rollup": begun}) as engine:
        rows = engine.rows(_HOSTS.format(where=condition), parameters)
    return sorted(row["host"] for row in rows if row["host"])


def _windows(span: Span, answer: Answer) -> Iterator[Line]:
    counts = {length: sum(one == length for one, _ in answer.chosen.windows) for length in LENGTHS}
    rest = sum(-(-(end - begin) // MINUTE_NS) for begin, end in answer.chosen.rest)
    told = [f"{count:,} {NAMES[length]}s" for length, count in counts.items() if count]
    asked = f"{iso(span.from_ns, 0)} to {iso(span.to_ns, 0)}"
    facts = {"from_ns": span.from_ns, "to_ns": span.to_ns, "not_rolled_up_minutes": rest}
    facts |= {f"{NAMES[length]}s": count for length, count in counts.items()}
    rolled = f"rolled up: {', '.join(told)} (table rollup)" if told else "nothing is rolled up"
    waiting = f"; {rest:,} minutes are not, and come from histograms (table histogram)" if rest else ""
    yield Line("windows", f"{asked}; {rolled}{waiting}", facts)
    if rest and any(length in counts and counts[length] for length in (DAY_NS, HOUR_NS, MINUTE_NS)):
        text = "delivery and wire between hosts of different clocks are only in what is rolled up"
        yield Line("windows", text, {})


def _losses(source: Source, span: Span, named: set[str]) -> Iterator[Line]:
    found: dict[str, dict[tuple[str, str], int | None]] = {name: {} for name in sorted(named)}
    for row in losses(source, span):
        if row["host"] in found:
            found[row["host"]][row["stage"], row["reason"]] = row["events"]
    for name, counts in found.items():
        attempted = counts.get(("kernel", "attempted"), 0) or 0
        sampled = counts.get(("kernel", "sampled"), 0) or 0
        lost = {f"{s}/{r}": n for (s, r), n in counts.items() if r not in WAY and n != 0}
        facts = {"host": name, "attempted": attempted, "sampled": sampled, "lost": lost}
        if not counts:
            yield Line("host", f"{name}: no ledger in this time, so nobody knows what it lost", facts)
            continue
        kept = f", {sampled:,} of them left out on purpose (sampling)" if sampled else ""
        reasons = ", ".join(f"{reason} {'?' if n is None else f'{n:,}'}" for reason, n in lost.items())
        yield Line("host", f"{name}: {attempted:,} events{kept}; lost: {reasons or 'none'}", facts)


def _clocks(source: Source, span: Span, named: set[str]) -> Iterator[Line]:
    pairs = [row for row in clocks(source, span) if row["second_host"] is not None]
    own = [row for row in pairs if {row["first_host"], row["second_host"]} <= named]
    for row in own:
        who = f"{row['first_host']} and {row['second_host']}"
        text = f"{who}: {row['bounded']:,} of {row['windows']:,} minutes solved"
        if row["bounded"]:
            text += f", within ±{duration(row['worst_ns'])} or better"
        if row["steps"]:
            text += f"; {row['steps']:,} steps, the largest {duration(row['largest_step_ns'])}"
        if row["infeasible"]:
            text += f"; in {row['infeasible']:,} minutes messages contradict one another"
        if row["unsynced"]:
            text += f"; in {row['unsynced']:,} there were too few messages both ways"
        yield Line("clocks", f"{text}; last solved for {iso(row['seen_ns'], 0)}", row)
    if not own and len(named) > 1:
        text = "no clocks were solved in this time: hosts share one clock, or nothing is rolled up yet"
        yield Line("clocks", text, {})


def _figures(answer: Answer) -> Iterator[Line]:
    bounds = [one.clock_bound_ns for one in answer.figures if one.clock_bound_ns is not None]
    yield Line("bound", "percentiles are within 1.083 % of a value that was measured (buckets)", {})
    if bounds:
        text = f"and delivery and wire within ±{duration(max(bounds))} for want of one clock"
        yield Line("bound", text, {"clock_bound_ns": max(bounds)})
    complete = [one.complete for one in answer.figures]
    known = [one for one in complete if one is not None]
    if complete:
        text = f"at least {percent(min(known))} of what was sent" if known else "not known of any line"
        if known and len(known) < len(complete):
            text += f"; not known of {len(complete) - len(known):,} of {len(complete):,} lines"
        yield Line("complete", text, {"least": min(known, default=None)})
    if answer.kept is not None and answer.kept < 1:
        estimated = sum(one.messages for one in answer.figures)
        text = f"{percent(answer.kept)} of events were kept; percentiles weigh each by what it stands for"
        yield Line("sampling", text, {"kept": answer.kept, "messages": estimated})
    yield from _coverage(answer)
    if answer.withheld:
        text = f"delivery and wire of {answer.withheld:,} messages: the clocks of their hosts are not related"
        yield Line("withheld", text, {"messages": answer.withheld})
    for reason, edges in answer.invalid.items():
        yield Line("withheld", f"turns of {edges:,} edges: {reason}", {"reason": reason, "edges": edges})


def _coverage(answer: Answer) -> Iterator[Line]:
    missed = answer.missed
    for reason, count in missed.blind.items():
        yield Line("coverage", f"no byte of {count:,} connections is in events: {reason}", {"blind": count})
    if missed.partial:
        text = f"{missed.missing_bytes:,} bytes of {missed.partial:,} connections are in no event"
        yield Line("coverage", text, {"bytes": missed.missing_bytes, "partial": missed.partial})
    closed = sum(one.closed for one in answer.figures)
    if not closed:
        yield Line("coverage", "no connection gave an account in this time: coverage is not known", {})
    elif not (missed.blind or missed.partial):
        yield Line("coverage", "all bytes that connections with an account moved are in events", {})
