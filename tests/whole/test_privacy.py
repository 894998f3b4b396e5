# SPDX-License-Identifier: Apache-2.0
"""With everything hidden, nothing that leaves the agent has an address or a name, and answers are whole."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agents import total, until
from support.consumer import read_topic
from support.netns import VethPair, hosts_of
from support.topics import Topics
from support.traffic import echo
from support.whole_way import SHARDS, AgentProcess, Names, consume, query

pytestmark = pytest.mark.kernel
MESSAGES = 40
NAME = "cardpayments"


@pytest.fixture
def named() -> Iterator[None]:
    """Have this process, whose traffic is traced, a name that is nowhere else."""
    comm = Path("/proc/self/comm")
    before = comm.read_text(encoding="utf-8")
    comm.write_text(NAME, encoding="utf-8")
    yield
    comm.write_text(before, encoding="utf-8")


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("hidden", [True, False], ids=["hidden", "raw"])
def test_nothing_raw_leaves_the_host(kafka: str, tmp_path: Path, *, hidden: bool) -> None:
    """Records, heartbeats, status and log; where nothing is hidden, the same search finds both in records."""
    topics, key = Topics(kafka), tmp_path / "key"
    names = Names(kafka, topics("events", SHARDS), topics("control", 2), topics("latency"), topics("poison"))
    key.write_bytes(b"sixteen bytes or more")
    own = [f"agent.runtime-dir={tmp_path / 'run'}", "agent.heartbeat=100ms", "batch.max-age=100ms"]
    if hidden:
        own += ["privacy.ip-mode=pseudonym", "privacy.comm=hash", f"privacy.key-file={key}"]
    with VethPair() as network:
        addresses = [ipaddress.ip_address(host.ipv4) for host in network.hosts]
        with AgentProcess(names, hosts_of(network), *own) as agent:
            echo(network, MESSAGES, 100)
            until(names, lambda beat: total(beat, "kafka", "delivered") >= 6 * MESSAGES)
            status = b"".join(path.read_bytes() for path in (tmp_path / "run").glob("agent-*.json"))
    assert status
    records = [one.value() or b"" for one in read_topic(kafka, names.events, SHARDS)]
    beats = b"".join(one.value() or b"" for one in read_topic(kafka, names.control, 1))
    told = beats + status + "".join(agent.said).encode()
    packed = [one.packed for one in addresses] + [NAME.encode()]
    found = [raw for raw in packed if any(raw in value for value in records)]
    assert found == ([] if hidden else packed)
    assert not any(text.encode() in told for text in [*map(str, addresses), NAME])
    consume(names, tmp_path / "lake")
    rows = query("latency", tmp_path / "lake")
    assert {(row["kind"], row["n"], row["complete"]) for row in rows} >= {("delivery", MESSAGES, 1)}
    assert all((row["edge"][:2] == "p-") == hidden for row in rows)
    ends = query("connections", tmp_path / "lake")
    assert all(row["local_address"].startswith("fd77:6972:65ff:") == hidden for row in ends)
    assert len({row[side] for row in ends for side in ("local_address", "remote_address")}) == len(addresses)
