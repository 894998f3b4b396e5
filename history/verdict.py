# SPDX-License-Identifier: Apache-2.0
"""Network or application, and since when: one verdict on the messages between two sides.

The span asked for is looked at together with one of the same length before it. Each measure of the request's
way and of the response's is a series of minutes; where one changed its level (``changes``) is when it began,
and of those that changed the one by the most nanoseconds, in the direction of the response time, is the
verdict. Response time is server turn + network time of each exchange, so its change is shared between these
two; what readers wait is in network time, and is taken off it. Where a measure is missing (withheld, too
little, no agent) the verdict says so rather than guess.
"""

from typing import NamedTuple

import numpy as np

from common.shown import duration, percent
from common.units import MINUTE_NS
from history import absent
from history.changes import F64, FEWEST, Change, change, change_of_counts
from history.connects import connects
from history.errors import QuestionError
from history.filters import sides
from history.latency import Answer, Latency, latency
from history.measures import KINDS
from history.retransmits import retransmits
from history.source import Source
from history.span import Span, iso

ENOUGH = 5
"""Values of a minute, for it to count."""
THERE, BACK = "there", "back"
NETWORK, APPLICATION, NOTHING, UNKNOWN = "network", "application", "nothing changed", "cannot tell"
OVERALL = ((THERE, "client-turn"), (BACK, "delivery"), (THERE, "delivery"))
"""What is felt, the first that there is."""


class Measure(NamedTuple):
    """Something that the way of an exchange is made of."""

    way: str
    kind: str
    where: str
    """network or application."""
    what: str
    """In words."""


MEASURES = (
    Measure(THERE, "server-turn", APPLICATION, "the server's turn (request read to response written)"),
    Measure(THERE, "network", NETWORK, "network time (response time less the server's turn)"),
    Measure(THERE, "wire", NETWORK, "the request's way to the server's kernel"),
    Measure(BACK, "wire", NETWORK, "the response's way to the client's kernel"),
    Measure(THERE, "rtt", NETWORK, "the round-trip time by the client's kernel"),
    Measure(THERE, "receive-wait", APPLICATION, "receive wait of the server (arrived, not read yet)"),
    Measure(BACK, "receive-wait", APPLICATION, "receive wait of the client (arrived, not read yet)"),
    Measure(THERE, "send-block", APPLICATION, "send block of the client (time inside the send call)"),
    Measure(BACK, "send-block", APPLICATION, "send block of the server (time inside the send call)"),
    Measure(THERE, "connect", NETWORK, "connecting (SYN to established)"),
    Measure(THERE, "retransmits", NETWORK, "segments sent again"),
)


class Told(NamedTuple):
    """One measure before and after."""

    way: str
    kind: str
    changed_ns: int | None
    """Beginning of the minute, None: it did not."""
    before: "Latency | None"
    after: "Latency | None"
    shift_ns: int
    """By how much its level changed, of the percentile that shows it best; 0: it did not."""


class Verdict(NamedTuple):
    """What is to be said."""

    where: str
    """network, application, nothing changed, cannot tell."""
    kind: str
    """The measure, empty where there is none."""
    since_ns: int | None
    text: str
    notes: list[str]
    """What the verdict lacks."""
    told: list[Told]


class _Series(NamedTuple):
    minutes: dict[tuple[str, str], dict[str, F64]]
    """(way, kind) -> percentile -> (n,) values of minutes."""
    begin_ns: int

    def shift(self, key: tuple[str, str], one: Change, percentile: str) -> float:
        """Return by how much a percentile changed where a measure did; its own where there is no such."""
        values = self.minutes[key].get(percentile)
        sides = [] if values is None else [side[np.isfinite(side)] for side in np.split(values, [one.at])]
        if not sides or not all(side.size for side in sides):
            return one.after - one.before
        return float(np.median(sides[1]) - np.median(sides[0]))


def verdict(source: Source, span: Span, *, edge: str) -> Verdict:
    """Return the verdict on an edge, ``client -> server``, by parts of the names of its two sides.

    Raises:
        QuestionError: ``edge`` has not two sides.
        AnswerError: the lake's files could not be read.
    """
    pair = sides(edge)
    if pair is None or not all(pair):
        raise QuestionError(f"--edge: found {edge!r}; needed are two sides, such as 'checkout -> postgres'")
    begin = max(0, 2 * span.from_ns - span.to_ns)
    look = Span(begin - begin % MINUTE_NS, span.to_ns)
    edges = {THERE: f"{pair[0]} -> {pair[1]}", BACK: f"{pair[1]} -> {pair[0]}"}
    answers = {
        way: latency(source, look, by="minute", kinds=",".join(KINDS), edge=e) for way, e in edges.items()
    }
    if _exchanges(answers[BACK]) > _exchanges(answers[THERE]):
        edges = {THERE: edges[BACK], BACK: edges[THERE]}
        answers = {THERE: answers[BACK], BACK: answers[THERE]}
    series = _series(source, look, answers, edges)
    found = {key: best for key, values in series.minutes.items() if (best := _change(key[1], values))}
    since = _since(found)
    cut = span.from_ns if since is None else series.begin_ns + since * MINUTE_NS
    told = _told(source, (Span(look.from_ns, cut), Span(cut, look.to_ns)), edges, found, series)
    notes = _notes(answers, series)
    return _judged(found, series, told, notes)


def _exchanges(answer: Answer) -> int:
    return sum(one.n for one in answer.figures if one.kind in {"server-turn", "client-turn"})


def _series(source: Source, look: Span, answers: dict[str, Answer], edges: dict[str, str]) -> _Series:
    size = -(-(look.to_ns - look.from_ns) // MINUTE_NS)
    names = {iso(look.from_ns + at * MINUTE_NS, 0): at for at in range(size)}
    found: dict[tuple[str, str], dict[str, F64]] = {}
    for way, answer in answers.items():
        for one in answer.figures:
            own = found.setdefault((way, one.kind), {name: np.full(size, np.nan) for name in ("p50", "p90")})
            if one.n >= ENOUGH:
                own["p50"][names[one.group]] = one.p50_ns or np.nan
                own["p90"][names[one.group]] = one.p90_ns or np.nan
    opened = connects(source, look, by="minute", edge=edges[THERE])
    if opened:
        own = found.setdefault((THERE, "connect"), {"p50": np.full(size, np.nan)})
        for attempt in opened:
            own["p50"][names[attempt.group]] = attempt.p50_ns or np.nan
    again = np.zeros(size)
    for edge in edges.values():
        for group in retransmits(source, look, by="minute", edge=edge):
            again[names[group.group]] += group.segments
    if again.any():
        found[THERE, "retransmits"] = {"count": again}
    return _Series(found, look.from_ns)


def _change(kind: str, values: dict[str, F64]) -> Change | None:
    """Return the surest change that any percentile of a measure shows."""
    if kind == "retransmits":
        return change_of_counts(values["count"])
    told = ((name, change(series)) for name, series in values.items())
    every = [one._replace(of=name) for name, one in told if one is not None]
    return max(every, key=lambda one: one.sure, default=None)


def _since(found: dict[tuple[str, str], Change]) -> int | None:
    """Return the minute of what is felt, else of the largest change."""
    felt = next((found[key] for key in OVERALL if key in found), None)
    largest = max(found.values(), key=_shift, default=None)
    best = felt or largest
    return best.at if best else None


def _shift(one: Change) -> float:
    return abs(one.after - one.before)


def _told(
    source: Source, spans: tuple[Span, Span], edges: dict[str, str], found: dict[tuple[str, str], Change],
    series: _Series,
) -> list[Told]:  # fmt: skip
    figures: list[dict[tuple[str, str], Latency]] = []
    for span in spans:
        own: dict[tuple[str, str], Latency] = {}
        if span.from_ns < span.to_ns:
            for way, edge in edges.items():
                answer = latency(source, span, by="measure", kinds=",".join(KINDS), edge=edge)
                own |= {(way, one.kind): one for one in answer.figures}
        figures.append(own)
    before, after = figures
    rows = []
    for way, kind in [*((THERE, "client-turn"),), *((one.way, one.kind) for one in MEASURES), *OVERALL[1:]]:
        key = way, kind
        one = found.get(key)
        if key in before or key in after or one:
            at = series.begin_ns + one.at * MINUTE_NS if one else None
            shift = round(one.after - one.before) if one else 0
            rows.append(Told(way, kind, at, before.get(key), after.get(key), shift))
    return rows


def _notes(answers: dict[str, Answer], series: _Series) -> list[str]:
    notes = list(dict.fromkeys(line for one in answers.values() for line in absent.remarks(one.absences)))
    withheld = sum(one.withheld for one in answers.values())
    if withheld:
        notes.append(
            f"delivery and wire of {withheld:,} messages are withheld, as the clocks of their hosts are not "
            "related; network time, turns and receive wait need no common clock"
        )
    invalid = answers[THERE].invalid
    if invalid:
        why = ", ".join(f"{count:,} {reason}" for reason, count in invalid.items())
        notes.append(f"turns of some edges mean nothing and are withheld: {why}")
    missing = [kind for kind in ("server-turn", "network") if (THERE, kind) not in series.minutes]
    if missing:
        notes.append(
            f"{' and '.join(missing)} not known: it needs an agent there, and exchanges that take turns"
        )
    shares = [
        one.complete for answer in answers.values() for one in answer.figures if one.complete is not None
    ]
    if shares and min(shares) < 1:
        notes.append(f"not complete: in the worst minute {percent(min(shares))} of what was sent")
    return notes


def _judged(
    found: dict[tuple[str, str], Change], series: _Series, told: list[Told], notes: list[str]
) -> Verdict:
    minutes = max((_known(values) for values in series.minutes.values()), default=0)
    if minutes < FEWEST:
        text = f"cannot tell: {minutes} minutes have {ENOUGH} messages or more, {FEWEST} are needed"
        return Verdict(UNKNOWN, "", None, text, notes, told)
    felt = next((found[key] for key in OVERALL if key in found), None)
    causes = [(one, found[one.way, one.kind]) for one in MEASURES if (one.way, one.kind) in found]
    if felt is not None:
        rose = felt.after > felt.before
        causes = [(one, at) for one, at in causes if (at.after > at.before) == rose]
    timed = [one for one in causes if one[0].kind != "retransmits"] or causes
    if not timed:
        return _without_cause(felt, series, told, notes)
    percentile = felt.of if felt is not None else ""
    cause, at = max(timed, key=lambda one: _own_shift(one, found, series, percentile))
    since = series.begin_ns + at.at * MINUTE_NS
    part = _part(cause, at, found, series)
    text = f"{cause.where}: {cause.what} {_levels(cause.kind, at)} at {iso(since, 0)}{part}"
    again = found.get((THERE, "retransmits"))
    if again is not None and cause.kind != "retransmits":
        text += f"; segments sent again {_levels('retransmits', again)}"
    return Verdict(cause.where, cause.kind, since, text, notes, told)


def _without_cause(felt: Change | None, series: _Series, told: list[Told], notes: list[str]) -> Verdict:
    if felt is None:
        text = "nothing changed its level, in this time or from the one before it"
        return Verdict(NOTHING, "", None, text, notes, told)
    since = series.begin_ns + felt.at * MINUTE_NS
    text = (
        f"cannot tell: it {_levels('delivery', felt)} at {iso(since, 0)}, and none of its parts is known to"
    )
    return Verdict(UNKNOWN, "", since, text, notes, told)


def _own_shift(
    one: tuple[Measure, Change], found: dict[tuple[str, str], Change], series: _Series, percentile: str
) -> float:
    """Return by how much a measure changed; network time without the waiting of readers that is in it.

    Of the percentile that shows what is felt: shifts of different ones cannot be compared.
    """
    cause, at = one
    keys = [(way, "receive-wait") for way in (THERE, BACK) if cause.kind == "network"]
    waiting = sum(series.shift(key, found[key], percentile) for key in keys if key in found)
    return abs(series.shift((cause.way, cause.kind), at, percentile) - waiting)


def _known(values: dict[str, F64]) -> int:
    return max((int(np.isfinite(one).sum()) for name, one in values.items() if name != "count"), default=0)


def _levels(kind: str, one: Change) -> str:
    word = "rose" if one.after > one.before else "fell"
    if kind == "retransmits":
        return f"{word} from {one.before:.0f} to {one.after:.0f} a minute"
    return f"{word} from {duration(round(one.before))} to {duration(round(one.after))}"


def _part(cause: Measure, at: Change, found: dict[tuple[str, str], Change], series: _Series) -> str:
    whole = found.get((THERE, "client-turn"))
    if whole is None or cause.kind not in {"server-turn", "network"} or whole.after == whole.before:
        return ""
    share = series.shift((cause.way, cause.kind), at, whole.of) / (whole.after - whole.before)
    return f", which is {100 * min(max(share, 0), 1):.0f} % of how response time changed"
