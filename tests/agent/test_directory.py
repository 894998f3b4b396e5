# SPDX-License-Identifier: Apache-2.0
"""Flows and processes as the agent knows them."""

from agent.directory import Directory
from agent.pending import Pending
from agent.registry import Registry
from support.events import arrival, connection, events, look_up, receive, send, task

SECRET = b"a secret of the fleet"


def directory() -> Directory:
    return Directory(SECRET, {9: "from-proc"}.get)


def test_both_ends_of_a_connection_get_one_name_and_different_ends() -> None:
    """The client's and the server's socket share the connection's name and shard, not the end bit."""
    known = directory()
    known.learn(connection(1, 2, role=1), task(7, "client"))
    known.learn(connection(2, 1, role=2), task(8, "server"))
    resolved = look_up(known, events(send(5, 0, 3), receive(6, 0, 3), arrival(5, 3)), 0)
    client, server, same = (known.flows.value(index) for index in resolved.flow.tolist())
    assert client.connection == server.connection
    assert {client.end, server.end} == {0, 1}
    assert same == server
    assert (client.local_port, client.remote_port, server.local_port) == (40_000, 80, 80)


def test_arrivals_belong_to_no_process() -> None:
    """Whoever runs when a segment arrives has nothing to do with it: it is of the kernel, process 0."""
    known = directory()
    known.learn(connection(2, 1, role=2), task(8, "server"))
    resolved = look_up(known, events(receive(6, 0, 3), arrival(5, 3)), 0)
    assert [known.processes.value(index).name for index in resolved.process.tolist()] == ["server", ""]


def test_a_process_the_kernel_did_not_tell_of_is_looked_up_once() -> None:
    """Without facts the name comes from the given look-up, an unknown one stays empty."""
    asked: list[int] = []

    def name_of(pid: int) -> str | None:
        asked.append(pid)
        return {9: "from-proc"}.get(pid)

    known = Directory(SECRET, name_of)
    table = events(send(1, 0, 1, tgid=9), send(2, 1, 1, tgid=9), send(3, 2, 1, tgid=10))
    for _ in range(2):
        names = [known.processes.value(i).name for i in look_up(known, table, 0).process.tolist()]
    assert names == ["from-proc", "from-proc", ""]
    assert asked == [9, 10]


def test_mapped_addresses_are_family_4() -> None:
    """An IPv4 connection over an IPv6 socket looks the same from both ends."""
    known = directory()
    known.learn(connection(1, 2), task(7, "client"))
    assert known.flows.value(0).family == 4


def test_unused_flows_are_forgotten_and_used_ones_keep_their_index() -> None:
    """The directory is bounded: what was not used since a moment goes, and its index is used again."""
    known = directory()
    for isn in range(10):
        known.learn(connection(isn, 1000 + isn, time_ns=1), task(7, "client"))
    used = look_up(known, events(send(5, 0, 1, iss=3, irs=1003)), 500)
    known.forget(100, 100)
    assert len(known.flows) == 1
    assert look_up(known, events(send(6, 1, 1, iss=3, irs=1003)), 600).flow.tolist() == used.flow.tolist()
    known.learn(connection(77, 78, time_ns=700), task(7, "client"))
    assert known.flows.index(77 << 32 | 78) < 10


def test_a_replaced_value_keeps_its_index_for_events_already_resolved() -> None:
    """A pid that was reused gets a new index; the old one names the old process until it is forgotten."""
    registry: Registry[str] = Registry()
    old = registry.learn(7, "old", 10)
    new = registry.learn(7, "new", 20)
    assert (registry.value(old), registry.value(new)) == ("old", "new")
    registry.forget(15)
    assert registry.learn(8, "other", 30) == old


def test_events_without_facts_wait_are_asked_for_and_come_first_once_known() -> None:
    """Facts that come late lose nothing: held events go out before the newer ones of their flow."""
    known = directory()
    pending = Pending(known, patience=3)
    first = pending.cycle(look_up(known, events(send(1, 0, 1, sock=0xABC)), 0), 0)
    assert (first.known, first.ask, first.lost) == ([], [0xABC], 0)
    known.learn(connection(1, 2), task(7, "client"))
    second = pending.cycle(look_up(known, events(send(2, 1, 1)), 0), 0)
    assert [int(t) for part in second.known for t in part.events["time_ns"][part.order]] == [1, 2]
    assert second.ask == []
    assert pending.held == 0


def test_events_whose_facts_never_come_are_counted_as_lost() -> None:
    """After the given number of cycles unnamed events are given up, each counted once."""
    known = directory()
    pending = Pending(known, patience=3)
    outcomes = [pending.cycle(look_up(known, events(send(1, 0, 1), send(2, 1, 1)), 0), 0)]
    outcomes += [pending.cycle(look_up(known, events(), 0), 0) for _ in range(4)]
    assert sum(outcome.lost for outcome in outcomes) == 2
    assert pending.held == 0
