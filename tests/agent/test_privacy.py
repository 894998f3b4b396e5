# SPDX-License-Identifier: Apache-2.0
"""What `[privacy]` hides is in nothing that is packed, and both ends still meet."""

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from agent.directory import Directory
from agent.pack import Clock, Identity, Packer
from agent.preflight import labels
from agent.privacy.told import privacy
from agent.privacy.veil import PSEUDONYMS, Veil, truncated
from agent.settings import AgentSettings
from agent.spool import record as spooled
from common.config import load
from common.errors import ConfigError
from consumer.engine import EngineSettings, EventEngine, Record
from schemas import batch
from schemas.batch import Process
from support.events import arrival, connection, events, look_up, receive, send, task
from support.spool import store

SECRET, KEY = b"secret of the fleet", b"another secret of it"
RANGE = ip_network("fd77:6972:65ff::/48")
MODES: list[dict[str, Any]] = [
    {},
    {"ip_mode": "truncate", "comm": "off", "labels": "off"},
    {"ip_mode": "pseudonym", "comm": "hash", "labels": "hash", "secret": KEY},
]
RAW = [b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02", b"checkout", b"postgres", b"shop.service"]


def v4(text: str) -> bytes:
    return bytes(10) + b"\xff\xff" + ip_address(text).packed


def host(name: str, veil: Veil, role: int, first: int = 1) -> list[bytes]:
    """What the agent of one end packs: 40 messages from the opener to the other end."""
    known = Directory(SECRET, lambda _pid: "postgres", lambda _cgroup: "unit:shop.service", veil)
    numbers = (first, first + 1) if role == 1 else (first + 1, first)
    known.learn(connection(*numbers, role=role), task(7, "checkout", 4242))
    sent = [send(1000 * n, 10 * n, 10, iss=first, irs=first + 1) for n in range(40)]
    got = [
        event
        for n in range(40)
        for event in (arrival(1000 * n + 300, 10 * n + 10), receive(1000 * n + 400, 10 * n, 10))
    ]
    packer = Packer(Identity(name, "boot", 7, 1), known, 1000, 1)
    packer.add(look_up(known, events(*(sent if role == 1 else got)), 0), 0)
    return [batch.encode(one) for one in packer.take(Clock(10**6, 10**18), everything=True)]


def matched(values: list[bytes]) -> list[dict[str, Any]]:
    engine = EventEngine(0, EngineSettings())
    taken = [engine.apply([Record(n, 10**12, value)]) for n, value in enumerate(values)]
    rows = [engine.flush().rows, *(one.rows for one in taken)]
    return [row for found in rows if "match" in found for row in found["match"].to_pylist()]


@pytest.mark.parametrize("mode", MODES, ids=["raw", "less", "keyed"])
def test_the_spool_holds_what_is_packed_and_nothing_else(mode: dict[str, Any], tmp_path: Path) -> None:
    """So what is hidden is not on the disk either."""
    spool = store(tmp_path)
    for number, value in enumerate(host("alpha", Veil(**mode), 1)):
        spool.write([spooled.Record(0, number, 40, 1, value)])
    spool.close()
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"alpha" in written
    named = [raw for raw in RAW if raw != b"postgres"]
    assert [raw for raw in named if raw in written] == ([] if mode else named)


@pytest.mark.parametrize("mode", MODES, ids=["raw", "less", "keyed"])
def test_every_message_matches_whatever_is_hidden(mode: dict[str, Any]) -> None:
    """And nothing raw is in a record, unless nothing was to be hidden: then the same search finds it."""
    values = host("alpha", Veil(**mode), 1) + host("beta", Veil(**mode), 2)
    rows = matched(values)
    assert [row["begin"] for row in rows] == [10 * n for n in range(40)]
    assert {row["delivery_ns"] for row in rows} == {400}
    found = [raw for raw in RAW if any(raw in value for value in values)]
    assert found == ([] if mode else RAW)


def test_edges_stay_readable() -> None:
    """Whoever has no agent is a network, or always the same pseudonym; processes are told apart, or not."""
    truncating, keyed = (matched_alone(Veil(**mode)) for mode in MODES[1:])
    assert truncating == "?@alpha > 10.0.0.0:80"
    sender, _, receiver = keyed.partition("@alpha > ")
    assert (sender[:2], len(sender)) == ("p-", 14)
    assert ip_address(receiver[1:].partition("]")[0]) in RANGE
    assert keyed == matched_alone(Veil(**MODES[2]))


def matched_alone(veil: Veil) -> str:
    """Return the edge of an opener whose peer has no agent."""
    engine = EventEngine(0, EngineSettings(horizon_ms=1))
    engine.apply([Record(n, 10**12, value) for n, value in enumerate(host("alpha", veil, 1))])
    later = [Record(9, 10**12 + 10**6, value) for value in host("gamma", veil, 1, first=5)]
    engine.apply(later)
    return str(engine.flush().rows["unmatched"]["edge"][0])


def test_a_pseudonym_tells_nothing_of_neighbours_and_is_the_same_on_all_hosts() -> None:
    """Neighbours share no more than the documented range; another key gives others."""
    veil, same, other = (Veil("pseudonym", secret=key) for key in (KEY, KEY, SECRET))
    one, two = veil.address(v4("10.0.0.1")), veil.address(v4("10.0.0.2"))
    assert one == same.address(v4("10.0.0.1"))
    assert one[:6] == two[:6] == PSEUDONYMS
    assert one[6:9] != two[6:9]
    assert other.address(v4("10.0.0.1")) != one
    assert ip_address(one) in RANGE
    assert ip_address(veil.address(ip_address("2001:db8::1").packed)) in RANGE


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("10.1.2.3", "10.1.2.0"),
        ("255.255.255.255", "255.255.255.0"),
        ("2001:db8:1:2::3", "2001:db8:1::"),
        ("::1", "::"),
    ],
)
def test_truncating_keeps_the_network(raw: str, told: str) -> None:
    """/24 of IPv4, mapped as it was, /48 of the rest."""
    address = ip_address(raw)
    full = v4(raw) if address.version == 4 else address.packed
    wanted = v4(told) if address.version == 4 else ip_address(told).packed
    assert truncated(full) == wanted


def test_labels_keep_their_kinds() -> None:
    """So that rules for containers still tell them from units."""
    label = "pod:0a1b/container:web"
    hashed = Veil(labels="hash", secret=KEY).label(label)
    kinds = [part.partition(":") for part in hashed.split("/")]
    assert [kind for kind, _, _ in kinds] == ["pod", "container"]
    assert all(len(value) == 12 for _, _, value in kinds)
    assert Veil(labels="off").label(label) == Veil().label("") == ""
    assert (Veil(labels="off").cgroup(5), Veil(labels="hash").cgroup(5)) == (0, 5)


def test_late_labels_and_looked_up_names_are_hidden_too() -> None:
    """Whichever way the directory learns of a process."""
    answers = iter([None, "unit:shop.service"])
    known = Directory(SECRET, lambda _pid: "postgres", lambda _c: next(answers), Veil(**MODES[2]))
    known.learn(connection(1, 2), task(7, "checkout", 4242))
    known.learn(connection(1, 2), task(7, "checkout", 4242)[:0])
    index = look_up(known, events(send(1, 0, 3), send(2, 3, 3, tgid=9)), 0).process.tolist()
    told: list[Process] = [known.processes.value(at) for at in index]
    assert [one.name[:2] for one in told] == ["p-", "p-"]
    assert told[0].label.startswith("unit:")
    assert "shop" not in told[0].label
    assert told[0].name != told[1].name


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["privacy.ip-mode=pseudonym"], "ip-mode pseudonym needs a file"),
        (["privacy.comm=hash", "privacy.labels=hash"], "comm hash, labels hash needs a file"),
        (
            ["privacy.ip-mode=none"],
            "found 'none'; allowed is one of raw, truncate, pseudonym",
        ),
    ],
)
def test_what_needs_a_key_is_refused_without_one(wanted: list[str], said: str) -> None:
    """Before anything starts: without a key everybody could undo it by trying all addresses."""
    with pytest.raises(ConfigError) as refused:
        load(AgentSettings, overrides=wanted)
    assert said in str(refused.value)


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    """As the fleet key is: not there, or too short; one that all may read is told of."""
    key = tmp_path / "key"
    made = load(AgentSettings, overrides=["privacy.ip-mode=pseudonym", f"privacy.key-file={key}"])
    with pytest.raises(ConfigError, match=r"privacy.key-file: .*: No such file"):
        privacy(made)
    key.write_bytes(b"short")
    with pytest.raises(ConfigError, match="holds 5 bytes; at least 16"):
        privacy(made)
    key.write_bytes(KEY)
    key.chmod(0o400)
    assert privacy(made) == f"addresses pseudonym, comm raw, labels raw; key {key}"
    key.chmod(0o444)
    assert privacy(made).endswith("which everybody on this host may read: chmod 0400")
    assert privacy(AgentSettings()).startswith("addresses raw, comm raw, labels raw")
    assert labels(load(AgentSettings, overrides=["privacy.labels=off"]), None) == "left out (privacy.labels)"
