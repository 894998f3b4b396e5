# SPDX-License-Identifier: Apache-2.0
"""Labels by cgroup id: found by a walk in pieces, remembered, given up where there are none."""

import itertools
from collections.abc import Iterator

import pytest

from agent import cgroups, preflight
from agent.directory import Directory
from agent.labels import MOST, PAUSE_NS, PIECE, Labels
from agent.service import make_directory
from agent.settings import AgentSettings, HostSection
from support.cgroups import UNIFIED, make, own_cgroup
from support.events import connection, events, look_up, send, task


class Host:
    """Cgroups that come and go, time that passes, and how far they were walked."""

    def __init__(self, count: int) -> None:
        self.paths = {number: f"/{number}.service" for number in range(1, count + 1)}
        self.now_ns = 0
        self.cost_ns = 0
        """Time that one cgroup takes."""
        self.seen = 0
        self.labels = Labels(self.walk, lambda: self.now_ns)

    def walk(self) -> Iterator[tuple[int, str]]:
        for found in list(self.paths.items()):
            self.seen += 1
            self.now_ns += self.cost_ns
            yield found

    def of(self, cgroup: int) -> str | None:
        """Ask once; return the answer and let the pause pass."""
        answer = self.labels.of(cgroup)
        self.now_ns += PAUSE_NS
        return answer


def test_a_known_cgroup_is_never_looked_for_again() -> None:
    host = Host(10)
    host.labels.fill()
    assert host.seen == 10
    assert [host.of(number) for number in (7, 7, 3)] == ["unit:7.service", "unit:7.service", "unit:3.service"]
    assert host.seen == 10


def test_no_cgroup_has_no_label_and_costs_nothing() -> None:
    host = Host(10)
    assert host.of(0) == ""
    assert host.seen == 0


def test_a_new_cgroup_is_found_by_the_walk_that_its_question_begins() -> None:
    host = Host(10)
    host.labels.fill()
    host.paths[99] = "/docker/" + "ab" * 32
    assert host.of(99) == "container:abababababab"


def test_questions_within_the_pause_wait_for_the_next_walk() -> None:
    """However many unknown cgroups come, the host is walked no more than once a pause."""
    host = Host(10)
    assert host.labels.of(3) == "unit:3.service"
    host.paths[99] = "/99.service"
    assert [host.labels.of(99) for _ in range(50)] == [None] * 50
    assert host.seen == 10
    host.now_ns += PAUSE_NS
    assert host.labels.of(99) == "unit:99.service"
    assert host.seen == 21


def test_one_question_walks_a_piece_at_most() -> None:
    """A host of many cgroups is walked in pieces; the answer comes with the piece that has it."""
    host = Host(5 * PIECE)
    steps = []
    for piece in range(1, 6):
        steps.append(host.of(5 * PIECE))
        assert host.seen == piece * PIECE
    assert steps == [None, None, None, None, f"unit:{5 * PIECE}.service"]


def test_one_question_takes_ten_milliseconds_at_most() -> None:
    """Where folders are slow to read, a piece is cut by the clock."""
    host = Host(30)
    host.cost_ns = 1_000_000
    answers = []
    for piece in range(1, 4):
        answers.append(host.of(30))
        assert host.seen == piece * 10
    assert answers == [None, None, "unit:30.service"]


def test_a_vanished_cgroup_is_given_up_after_one_whole_walk() -> None:
    host = Host(10)
    assert host.of(4242) == ""
    seen = host.seen
    assert [host.of(4242) for _ in range(5)] == [""] * 5
    assert host.seen == seen


def test_a_walk_under_way_decides_nothing_about_what_came_later() -> None:
    """It may have passed the place already: the next whole walk finds it."""
    host = Host(PIECE + 10)
    assert host.of(PIECE + 5) is None
    host.paths = {77_777: "/late.service", **host.paths}
    assert host.of(77_777) is None, "the first walk ends here"
    assert host.of(77_777) == "unit:late.service"


def test_what_is_remembered_is_bounded() -> None:
    host = Host(MOST + 100)
    host.labels.fill()
    assert len(host.labels) == MOST


def test_a_process_gets_its_label_as_soon_as_it_is_known() -> None:
    """Its events until then keep the process without one; those after it have the one with it."""
    host = Host(10)
    known = Directory(b"secret", lambda _pid: None, host.labels.of)
    assert host.labels.of(3) == "unit:3.service"
    host.paths[99] = "/99.service"
    known.learn(connection(1, 2), task(7, "client", cgroup=99))
    early = look_up(known, events(send(1, 0, 1)), 0).process.tolist()
    assert [known.processes.value(index).label for index in early] == [""]
    host.now_ns += PAUSE_NS
    known.learn(connection(1, 2)[:0], task(7, "client")[:0])
    late = look_up(known, events(send(2, 1, 1)), 0).process.tolist()
    assert [known.processes.value(index) for index in late] == [
        type(known.processes.value(0))(7, "client", 99, "unit:99.service")
    ]
    assert [known.processes.value(index).label for index in early] == [""]


def test_the_maker_of_a_socket_has_the_label_of_the_sockets_cgroup() -> None:
    """It may never make a call itself; its own facts, once they come, replace what the socket told."""
    host = Host(10)
    known = Directory(b"secret", lambda _pid: None, host.labels.of)
    known.learn(connection(1, 2, opener_tgid=7, cgroup=3), task(8, "user", cgroup=4))
    assert known.processes.value(known.processes.index(7)).label == "unit:3.service"
    known.learn(connection(1, 2, opener_tgid=7, cgroup=3), task(7, "maker", cgroup=5))
    assert known.processes.value(known.processes.index(7)).label == "unit:5.service"


def test_a_process_whose_cgroup_has_vanished_stays_without_a_label() -> None:
    host = Host(10)
    known = Directory(b"secret", lambda _pid: None, host.labels.of)
    known.learn(connection(1, 2), task(7, "client", cgroup=4242))
    for _ in range(5):
        host.now_ns += PAUSE_NS
        known.learn(connection(1, 2)[:0], task(7, "client")[:0])
    assert known.processes.value(known.processes.index(7)).label == ""
    assert host.seen == 10


def test_a_process_that_moved_is_told_of_again_and_has_the_new_label() -> None:
    host = Host(10)
    known = Directory(b"secret", lambda _pid: None, host.labels.of)
    for cgroup in (3, 4):
        known.learn(connection(1, 2), task(7, "client", cgroup=cgroup))
    assert known.processes.value(known.processes.index(7)).label == "unit:4.service"


@pytest.mark.kernel
def test_the_walk_finds_what_stat_says_of_each_folder() -> None:
    with own_cgroup() as top:
        made = [make(top, path) for path in ("a.service", "s.slice/docker-1.scope/init.scope", "s.slice/b c")]
        found = dict(cgroups.walk(UNIFIED))
        folders = [top, *made, *(folder.parent for folder in made)]
        assert {folder.stat().st_ino: f"/{folder.relative_to(UNIFIED)}" for folder in folders}.items() <= (
            found.items()
        )
        assert found[UNIFIED.stat().st_ino] == "/"


@pytest.mark.kernel
def test_cgroups_that_vanish_during_a_walk_are_passed_over() -> None:
    with own_cgroup() as top:
        gone = make(top, "gone/below")
        stays = make(top, "stays/below")
        ids = {folder.name: folder.stat().st_ino for folder in (gone.parent, stays.parent)}
        walk = cgroups.walk(top)
        found = list(itertools.islice(walk, 3))
        for folder in (gone, gone.parent):
            folder.rmdir()
        found += list(walk)
        assert ids["gone"] in dict(found)
        assert dict(found)[stays.stat().st_ino] == "/stays/below"
        assert "/gone/below" not in dict(found).values()


@pytest.mark.kernel
def test_five_thousand_cgroups_are_walked_in_pieces() -> None:
    """Each question costs a piece; every label is right once the walk is through."""
    now = [0]
    with own_cgroup() as top:
        made = [make(top, f"s{n % 50}.slice/app-{n}.service") for n in range(5_000)]
        wanted = {folder.stat().st_ino: f"unit:{folder.name}" for folder in made}
        labels = Labels(lambda: cgroups.walk(top), lambda: now[0])
        last = 0
        while labels.of(max(wanted)) is None:
            assert len(labels) - last <= PIECE
            last = len(labels)
            now[0] += PAUSE_NS
        for _ in range(3):
            labels.of(2**62)
            now[0] += PAUSE_NS
        assert {cgroup: labels.of(cgroup) for cgroup in wanted} == wanted


def test_check_says_which_processes_will_have_labels(tmp_path) -> None:
    told = AgentSettings()
    assert preflight.labels(AgentSettings(agent=HostSection(labels=False)), UNIFIED).startswith("left out")
    assert preflight.labels(told, None) == "none, as no cgroups of version 2 are mounted"
    assert preflight.labels(told, UNIFIED) == f"of the cgroups below {UNIFIED}"
    assert preflight.labels(told, tmp_path).startswith("only of this container")


def test_the_widest_of_several_mounts_is_taken(tmp_path) -> None:
    """A container may have its own part of the tree mounted beside the host's; a name may have spaces."""
    outer = tmp_path / "outer mount"
    inner = outer / "inner"
    inner.mkdir(parents=True)
    first, second = sorted([outer, inner], key=lambda path: path.stat().st_ino)
    lines = [
        f"31 23 0:28 / {tmp_path} rw,relatime - tmpfs tmpfs rw",
        *(
            f"41 31 0:38 / {str(path).replace(' ', chr(92) + '040')} rw shared:9 - cgroup2 cgroup2 rw"
            for path in (second, first)
        ),
        f"42 31 0:39 / {tmp_path}/nowhere rw - cgroup2 cgroup2 rw",
    ]
    mounts = tmp_path / "mountinfo"
    mounts.write_text("\n".join(lines))
    assert cgroups.mount_point(mounts) == first
    mounts.write_text(lines[0])
    assert cgroups.mount_point(mounts) is None


@pytest.mark.kernel
@pytest.mark.parametrize(("wanted", "label"), [(True, "unit:own.service"), (False, "")])
def test_the_settings_decide_whether_labels_are_told(wanted: bool, label: str) -> None:  # noqa: FBT001
    """`agent.labels` is for hosts where the names of units are nobody's business."""
    with own_cgroup() as top:
        number = make(top, "own.service").stat().st_ino
        known = make_directory(AgentSettings(agent=HostSection(labels=wanted)))
        known.learn(connection(1, 2), task(7, "client", cgroup=number))
        process = known.processes.value(known.processes.index(7))
        assert (process.label, process.cgroup) == (label, number)
