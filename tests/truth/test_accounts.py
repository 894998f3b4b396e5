# SPDX-License-Identifier: Apache-2.0
"""The account of each connection: bytes in events against the kernel's count, through the agent's parts."""

import time
from collections.abc import Iterator

import pytest

from agent.delivery.outstanding import Ticket
from agent.directory import Directory
from agent.kernel.capture import Capture, CaptureSettings
from agent.ledger import Ledger
from agent.loop import Loop, Parts, system_clock
from agent.pack import Identity, Packer
from schemas import batch
from schemas.batch import Mark
from schemas.event import Audit, Flag, TcpClose
from schemas.key import FIXED_KEY
from support import lives, openings, scenarios
from support.netns import Network, hosts_of
from support.worker import Worker

SHARDS = 3


class Agent:
    """An agent without Kafka: what it would send is kept."""

    def __init__(self, network: Network) -> None:
        self._capture = Capture(CaptureSettings(netns=hosts_of(network), ring_pages=256, lives=True))
        self._capture.start()
        self._values: list[bytes] = []
        directory = Directory(FIXED_KEY, lambda _pid: None)
        packer = Packer(Identity("host", "boot", 1, SHARDS), directory, 4096, 0)
        self.ledger = Ledger()
        self.loop = Loop(Parts(self._capture, directory, packer, self, self.ledger), system_clock, 0)

    def send(self, value: bytes, ticket: Ticket) -> None:
        self._values.append(value)

    def lose(self) -> None:
        """Take what the kernel has, and lose it."""
        now = time.monotonic_ns()
        while self._capture.cycle().complete_until_ns < now:
            pass

    def stop(self) -> list[batch.EventBatch]:
        if self._capture.running:
            final = self._capture.stop()
            self.loop.finish(final.records, final.counters)
        return [batch.decode(value) for value in self._values]


@pytest.fixture
def agent(network: Network) -> Iterator[Agent]:
    agent = Agent(network)
    yield agent
    agent.stop()


def closes(batches: list[batch.EventBatch]) -> dict[int, tuple[batch.Flow, TcpClose]]:
    """Return the account of each end by its local port, the last one where there are several."""
    told = [(one.flows[row.flow], row) for one in batches for row in batch.rows(one)]
    found = [(flow, row) for flow, row in told if isinstance(row, TcpClose)]
    found.sort(key=lambda pair: pair[1].time_ns)
    return {flow.local_port: (flow, row) for flow, row in found}


def test_every_scenario_is_complete(network: Network, worker: Worker, agent: Agent) -> None:
    for scenario in scenarios.SCENARIOS.values():
        worker.run(scenario, network)
        agent.loop.turn()
    found = closes(agent.stop())
    assert len(found) > 20
    wrong = {
        port: row for port, (flow, row) in found.items() if row.audit != Audit.COMPLETE and not flow.marks
    }
    assert not {port: row for port, row in wrong.items() if not row.flags & Flag.OLDER}


def test_what_was_lost_on_the_way_is_missing(network: Network, worker: Worker, agent: Agent) -> None:
    truth = worker.run(lives.begin, network, 700)
    agent.loop.turn()
    worker.run(lives.more, 50_000)
    agent.lose()
    worker.run(lives.end, 300)
    found = closes(agent.stop())
    for port in (truth.client, truth.server):
        row = found[port][1]
        assert row.audit == Audit.PARTIAL
        assert (row.missing_sent, row.missing_received) in {(50_000, 0), (0, 50_000)}
    assert found[truth.client][1].missing_sent == found[truth.server][1].missing_received == 50_000


def test_an_open_connection_is_audited_on_demand(network: Network, worker: Worker, agent: Agent) -> None:
    truth = worker.run(lives.begin, network, 700)
    agent.loop.turn()
    agent.loop.audit()
    worker.run(lives.more, 40)
    found = closes(agent.stop())
    worker.run(lives.end, 1)
    row = found[truth.client][1]
    assert row.flags & Flag.OPEN
    assert (row.sent_bytes, row.missing_sent, row.audit) == (700, 0, Audit.COMPLETE)


def test_bytes_moved_before_the_agent_are_not_missing(network: Network, worker: Worker) -> None:
    truth = worker.run(lives.begin, network, 700)
    agent = Agent(network)
    worker.run(lives.end, 300)
    for port in (truth.client, truth.server):
        flow, row = closes(agent.stop())[port]
        assert flow.marks & Mark.OLDER
        assert row.flags & Flag.OLDER
        assert row.audit == Audit.COMPLETE, row


def test_a_blind_connection_says_so_with_its_bytes(network: Network, worker: Worker, agent: Agent) -> None:
    client, _ = worker.run(openings.multipath, network)
    found = closes(agent.stop())
    flow, row = found[client]
    assert flow.marks & Mark.MPTCP
    assert row.audit == Audit.BLIND
    assert row.missing_sent == row.sent_bytes > 0


def test_a_repaired_connection_is_blind(network: Network, worker: Worker, agent: Agent) -> None:
    client = worker.run(lives.repaired, network)
    flow, row = closes(agent.stop())[client]
    assert flow.marks & Mark.REPAIR
    assert row.audit == Audit.BLIND


def test_sampled_connections_are_no_losses(network: Network, worker: Worker) -> None:
    agent = Agent(network)
    agent.loop._parts.capture.sample(1 << 15, 0)
    for _ in range(12):
        worker.run(lives.conversation, network, 3_000, 10)
    found = closes(agent.stop())
    assert {row.audit for _, row in found.values()} <= {Audit.COMPLETE}
    totals = {(total.stage, total.reason): total.events for total in agent.ledger.totals()}
    assert totals["kernel", "sampled"] > 0
    assert agent.ledger.lost() == totals["kernel", "nested"] + totals["kernel", "missed"]
