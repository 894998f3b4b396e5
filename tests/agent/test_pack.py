# SPDX-License-Identifier: Apache-2.0
"""Cutting events into batches."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.directory import Directory
from agent.pack import Clock, Identity, Packer
from schemas import batch
from schemas.event import TcpSend
from support.events import connection, events, look_up, send, task

SECOND = 10**9
CLOCK = Clock(100 * SECOND, 5)


def packer(shards: int = 4, max_events: int = 8) -> tuple[Packer, Directory]:
    directory = Directory(b"secret of the fleet", lambda _pid: None)
    for isn in range(6):
        directory.learn(connection(isn, 500 + isn), task(7, "client"))
    identity = Identity("host-a", "boot", 42, shards)
    return Packer(identity, directory, max_events, SECOND), directory


def rows_of(values: list[bytes]) -> list[tuple[int, TcpSend]]:
    """Return (connection, event) of every event in the batches."""
    found = []
    for value in values:
        one = batch.decode(value)
        found += [(one.flows[row.flow].connection, row) for row in batch.rows(one)]
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**40), st.integers(1, 2**31))), max_size=6
    ),
    st.integers(1, 9),
)
def test_every_event_leaves_once_in_its_shard_and_numbered(cycles: list[list[Any]], max_events: int) -> None:
    """However events come in, the batches hold each once, of one shard each, numbered without holes."""
    parts, directory = packer(max_events=max_events)
    sent, batches = 0, []
    for cycle in cycles:
        table = events(*(send(sent + k, p, n, iss=i, irs=500 + i) for k, (i, p, n) in enumerate(cycle)))
        sent += len(cycle)
        parts.add(look_up(directory, table, 0), CLOCK.monotonic_ns)
        batches += parts.take(CLOCK)
    batches += parts.take(CLOCK, everything=True)
    assert parts.held == 0
    rows = rows_of([batch.encode(one) for one in batches])
    assert sorted(row.time_ns for _, row in rows) == list(range(sent))
    for shard in {one.shard for one in batches}:
        mine = [one for one in batches if one.shard == shard]
        assert [one.sequence for one in mine] == list(range(len(mine)))
        assert [one.cumulative for one in mine] == [sum(b.events for b in mine[:k]) for k in range(len(mine))]
        assert all(one.events <= max_events for one in mine)
        assert all(flow.connection % 4 == shard for one in mine for flow in one.flows)


def test_a_batch_waits_for_company_no_longer_than_its_age() -> None:
    """Too few events stay until the oldest has waited the whole age, then leave together."""
    parts, directory = packer(shards=1)
    parts.add(look_up(directory, events(send(1, 0, 1, irs=501)), 0), 0)
    assert parts.take(Clock(SECOND - 1, 0)) == []
    parts.add(look_up(directory, events(send(2, 1, 1, irs=501)), 0), SECOND - 1)
    assert [one.events for one in parts.take(Clock(SECOND, 0))] == [2]


def test_a_full_shard_leaves_at_once_and_the_rest_stays() -> None:
    """Size cuts exact batches; what is over waits for its own company."""
    parts, directory = packer(shards=1, max_events=8)
    parts.add(look_up(directory, events(*(send(k, k, 1, irs=501) for k in range(21))), 0), 0)
    assert [one.events for one in parts.take(Clock(1, 0))] == [8, 8]
    assert parts.held == 5
    assert [one.events for one in parts.take(Clock(2, 0), everything=True)] == [5]


def test_no_sequence_number_of_the_kernel_is_in_the_record() -> None:
    """Initial sequence numbers and socket pointers stay on the host."""
    parts, directory = packer(shards=1)
    local, remote = 0xDEADBEEF, 0xCAFEF00D
    directory.learn(connection(local, remote), task(7, "client"))
    table = events(send(1, 0, 1, iss=local, irs=remote, sock=0xFFFF888812345678))
    parts.add(look_up(directory, table, 0), 0)
    value = batch.encode(parts.take(CLOCK, everything=True)[0])
    for secret in (local, remote, 0xFFFF888812345678):
        for order in ("little", "big"):
            assert secret.to_bytes(8 if secret >> 32 else 4, order) not in value  # type: ignore[arg-type]
