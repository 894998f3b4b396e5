# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.engine import ControlEngine, Record
from consumer.engine.control import MAX_RUNS_OF_HOST, MAX_SERIES
from consumer.engine.settings import seal, unseal
from schemas.control import Heartbeat, Left, Total, encode
from tests.consumer.engine.scene import BASE_MS
from tests.consumer.engine.traffic import SETTINGS, Rows, collect, of_heartbeats_in_pieces

LATER = (BASE_MS + 4) * 1_000_000
"""An epoch after the fourth heartbeat of a run."""
EPOCHS = st.sampled_from([1, 2, LATER])


def heartbeat(
    sequence: int,
    totals: dict[tuple[str, str], int],
    host: str = "alpha",
    epoch: int = 1,
    oldest: int = 0,
    **more: Any,
) -> bytes:
    return encode(
        Heartbeat(
            version=1,
            host=host,
            boot="boot",
            epoch=epoch,
            sequence=sequence,
            sent_at_ns=(BASE_MS + sequence) * 1_000_000,
            monotonic_ns=0,
            oldest_undelivered_ns=oldest,
            acknowledged={},
            totals=tuple(Total(stage, reason, events) for (stage, reason), events in totals.items()),
            **more,
        )
    )


def kernel(
    sequence: int, attempted: int, lost: int = 0, host: str = "alpha", epoch: int = 1, **more: Any
) -> bytes:
    totals = {("kernel", "attempted"): attempted, ("perf-buffer", "overrun"): lost}
    return heartbeat(sequence, totals, host, epoch, **more)


def run(*values: bytes, step_ms: int = 2_000) -> Rows:
    engine = ControlEngine(0, SETTINGS)
    records = [Record(i, BASE_MS + i * step_ms, value) for i, value in enumerate(values)]
    return collect([engine.apply(records), engine.flush()])


def events(rows: Rows) -> list[tuple[object, ...]]:
    return [(row["host"], row["stage"], row["reason"], row["events"]) for row in rows.get("ledger", [])]


def test_rows_are_differences_of_totals() -> None:
    """The first heartbeat says all since the start, the next what was added; no change, no row."""
    assert events(run(kernel(0, 100), kernel(1, 150, 3))) == [
        ("alpha", "kernel", "attempted", 100),
        ("alpha", "kernel", "attempted", 50),
        ("alpha", "perf-buffer", "overrun", 3),
    ]


def test_late_and_repeated_heartbeats_give_no_row() -> None:
    """Totals are cumulative, so an older heartbeat knows nothing more."""
    assert [row[3] for row in events(run(kernel(3, 100), kernel(2, 90), kernel(3, 100), kernel(4, 100)))] == [
        100
    ]


def test_agent_runs_and_hosts_are_counted_apart() -> None:
    """A restarted agent starts at zero."""
    rows = run(kernel(5, 100), kernel(0, 10, epoch=2), kernel(0, 7, host="beta"))
    assert [row[3] for row in events(rows)] == [100, 10, 7]
    assert [row["epoch"] for row in rows["ledger"]] == [1, 2, 1]


def test_a_tick_gives_one_row_for_all_its_heartbeats() -> None:
    """Several heartbeats of one tick are one difference, dated by the last of them."""
    rows = run(kernel(0, 100), kernel(1, 130), kernel(2, 160), step_ms=100)
    assert events(rows) == [("alpha", "kernel", "attempted", 160)]
    assert rows["ledger"][0]["at_ns"] == (BASE_MS + 2) * 1_000_000


def marks(rows: Rows) -> list[tuple[object, ...]]:
    told = [row for row in rows.get("ledger", []) if row["reason"] == "unreported"]
    assert {(row["stage"], row["events"]) for row in told} <= {("agent", 0)}
    return [(row["host"], row["epoch"], row["at_ns"]) for row in told]


def test_a_run_that_ended_without_a_word_is_marked_at_its_last_words() -> None:
    """Once the next one of its host is heard, once; whatever the next one's boot."""
    beats = [kernel(3, 100), kernel(0, 10, epoch=LATER), kernel(5, 20, epoch=LATER)]
    assert marks(run(*beats)) == [("alpha", 1, (BASE_MS + 3) * 1_000_000)]
    assert marks(run(*beats, step_ms=1)) == marks(run(*beats))
    rebooted = beats[1].replace(b'"boot":"boot"', b'"boot":"next"')
    assert marks(run(beats[0], rebooted)) == marks(run(*beats))


def test_a_run_that_said_good_bye_is_not() -> None:
    """Nor one of another host, nor a later one, nor one that was still heard after the next one began."""
    assert marks(run(kernel(3, 100, final=True), kernel(0, 10, epoch=LATER))) == []
    assert marks(run(kernel(3, 100), kernel(0, 10, host="beta", epoch=LATER))) == []
    assert marks(run(kernel(0, 10, epoch=LATER), kernel(3, 100))) == []
    assert marks(run(kernel(10_000, 100), kernel(0, 10, epoch=LATER))) == []


def test_a_state_from_before_good_byes_were_remembered_says_nothing() -> None:
    """What an older version saved does not tell how a run ended."""
    engine = ControlEngine(0, SETTINGS)
    engine.apply([Record(0, BASE_MS, kernel(3, 100))])
    state = msgspec.msgpack.decode(unseal(engine.snapshot()))
    runs = [[*key, values[:4]] for *key, values in state[6]]
    state[6:] = [runs]
    engine = ControlEngine.restore(seal(msgspec.msgpack.encode(state)), 0, SETTINGS)
    rows = collect([engine.apply([Record(1, BASE_MS, kernel(0, 9, epoch=LATER))]), engine.flush()])
    assert [row[3] for row in events(rows)] == [100, 9]


def test_how_an_agent_stands_is_told_at_once_and_every_ten_seconds() -> None:
    """And at every change of what is not a figure; by the broker's time and its own."""
    beats = [heartbeat(n, {}, oldest=n) for n in range(8)]
    rows = run(*beats, heartbeat(8, {}, state="stopped"), heartbeat(9, {}, state="stopped", final=True))[
        "agent"
    ]
    heard = [BASE_MS + ms for ms in (0, 10_000, 16_000, 18_000)]
    assert [row["heard_ns"] for row in rows] == [ms * 1_000_000 for ms in heard]
    assert [row["agent_state"] for row in rows] == ["tracing", "tracing", "stopped", "stopped"]
    assert [row["final"] for row in rows] == [False, False, False, True]
    assert [row["at_ns"] for row in rows] == [(BASE_MS + n) * 1_000_000 for n in (0, 5, 8, 9)]


def test_what_was_lost_of_an_earlier_run_is_a_row_of_that_run() -> None:
    """With totals of who tells it; another teller's add to them."""
    left = (Left("boot", 1, "quota", 30), Left("before", 2, "corrupt", 4))
    again = (Left("boot", 1, "quota", 50),)
    rows = run(heartbeat(0, {}, epoch=7, left=left), heartbeat(1, {}, epoch=7, left=again))
    rows = {"ledger": rows["ledger"] + run(heartbeat(0, {}, epoch=9, left=again))["ledger"]}
    assert [(row["boot"], row["epoch"], row["reason"], row["events"]) for row in rows["ledger"]] == [
        ("boot", 1, "quota", 30),
        ("before", 2, "corrupt", 4),
        ("boot", 1, "quota", 20),
        ("boot", 1, "quota", 50),
    ]
    assert {row["stage"] for row in rows["ledger"]} == {"left-in-spool"}


def test_a_clock_that_is_ahead_does_not_date_rows_into_the_future() -> None:
    """Nor one that is a week behind; one that is an hour behind is believed, as a spool may hold an hour."""
    hour, rows = 3_600_000, []
    for step_ms in (hour, -hour, -200 * hour):
        value = kernel(0, 5).replace(
            f"{BASE_MS * 1_000_000}".encode(), f"{(BASE_MS + step_ms) * 1_000_000}".encode()
        )
        told = run(value)
        rows.append((told["ledger"][0]["at_ns"], told["agent"][0]["at_ns"]))
    own = [(BASE_MS + step) * 1_000_000 for step in (hour, -hour, -200 * hour)]
    assert rows == [(BASE_MS * 1_000_000, own[0]), (own[1], own[1]), (BASE_MS * 1_000_000, own[2])]


def test_a_lying_agent_has_a_bounded_number_of_series_and_runs() -> None:
    """What it names beyond them is one loss; another host's runs stay."""
    engine = ControlEngine(0, SETTINGS)
    beats = [heartbeat(n, {("x", f"{n}-{k}\0z"): 1 for k in range(900)}) for n in range(3)]
    beats += [kernel(0, 5, host="beta")] + [
        kernel(0, 1, host="liar", epoch=n) for n in range(2 * MAX_RUNS_OF_HOST)
    ]
    rows = collect(
        [engine.apply([Record(n, BASE_MS, value) for n, value in enumerate(beats)]), engine.flush()]
    )
    own = [row for row in rows["ledger"] if row["host"] == "alpha"]
    assert len(own) == MAX_SERIES + 1
    assert next(row["events"] for row in own if row["reason"] == "other") == 900
    assert sum(row["events"] for row in rows["ledger"] if row["host"] == "liar") == 2 * MAX_RUNS_OF_HOST
    hosts = Counter(host for host, _, _ in engine._runs)
    assert hosts == {"alpha": 1, "beta": 1, "liar": MAX_RUNS_OF_HOST}


def test_what_is_no_heartbeat_is_set_aside() -> None:
    """Junk is poison, is counted, and stops nothing."""
    engine = ControlEngine(0, SETTINGS)
    records = [Record(7, BASE_MS, b"junk"), Record(8, BASE_MS, kernel(0, 5)), Record(9, BASE_MS, b"")]
    output = engine.apply(records)
    assert [poison.kafka_offset for poison in output.poison] == [7, 9]
    assert events(collect([engine.flush()])) == [
        ("alpha", "kernel", "attempted", 5),
        ("", "consumer", "poison", 2),
    ]


def test_totals_beyond_64_bits_are_cut() -> None:
    """A lying agent gives a large number and no error."""
    engine = ControlEngine(0, SETTINGS)
    lie = (
        kernel(0, 5)
        .replace(b'"events":5', b'"events":99999999999999999999')
        .replace(b'"epoch":1', b'"epoch":-1')
    )
    engine.apply([Record(0, BASE_MS, lie)])
    rows = collect([engine.flush()])
    engine = ControlEngine.restore(engine.snapshot(), 0, SETTINGS)
    assert not rows or rows["ledger"][0]["events"] == 2**63 - 1


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["a", "b"]), EPOCHS), max_size=20),
    st.data(),
)
def test_rows_do_not_depend_on_how_heartbeats_are_cut(
    beats: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    """Any cutting, with snapshots between, gives the same rows; per run they add up to the last total."""
    values = [kernel(s, 10 * s * (epoch % 7), s // 3, host, epoch) for s, host, epoch in beats]
    records = [Record(i, BASE_MS + 300 * i, value) for i, value in enumerate(values)]
    whole = ControlEngine(0, SETTINGS)
    rows = of_heartbeats_in_pieces(records, data)
    assert rows == collect([whole.apply(records), whole.flush()])
    for host, epoch in {(host, epoch) for _, host, epoch in beats}:
        given = [row for row in rows.get("ledger", []) if (row["host"], row["epoch"]) == (host, epoch)]
        total = sum(int(str(row["events"])) for row in given if row["reason"] == "attempted")
        assert total == max(10 * s * (epoch % 7) for s, h, e in beats if (h, e) == (host, epoch))
