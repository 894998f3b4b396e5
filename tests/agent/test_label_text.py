# SPDX-License-Identifier: Apache-2.0
"""Paths of cgroups, as the programs that make them spell them, and the label that each gets."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.label_text import MAX_LENGTH, label_of

A, B = "a1b2c3d4e5f6" + "0" * 52, "b0b1b2b3b4b5" + "f" * 52
UID = "2d7b1f0e-7a3c-4a55-9c1d-0a1b2c3d4e5f"
UID_ = UID.replace("-", "_")
STATIC = "8f2f1f4b5c6d7e8f90a1b2c3d4e5f607"
SLICES = "/kubepods.slice/kubepods-burstable.slice"
PATHS = [
    ("/", ""),
    ("/system.slice", ""),
    ("/user.slice", ""),
    ("/init.scope", "unit:init.scope"),
    # systemd
    ("/system.slice/nginx.service", "unit:nginx.service"),
    ("/system.slice/system-postgresql.slice/postgresql@16-main.service", "unit:postgresql@16-main.service"),
    ("/system.slice/foo.service/worker-3", "unit:foo.service"),
    ("/system.slice/a:b.service", "unit:a:b.service"),
    ("/system.slice/sshd.socket", "unit:sshd.socket"),
    ("/user.slice/user-1000.slice", "user:1000"),
    ("/user.slice/user-1000.slice/session-3.scope", "user:1000/unit:session-3.scope"),
    ("/user.slice/user-1000.slice/user@1000.service", "user:1000"),
    ("/user.slice/user-1000.slice/user@1000.service/init.scope", "user:1000/unit:init.scope"),
    (
        "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-org.gnome\\x2dclocks-77.scope",
        "user:1000/unit:app-gnome-org.gnome\\x2dclocks-77.scope",
    ),
    (
        "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator",
        "unit:machine-qemu\\x2d1\\x2dvm.scope",
    ),
    # docker, podman, containerd
    (f"/system.slice/docker-{A}.scope", "container:a1b2c3d4e5f6"),
    (f"/docker/{A}", "container:a1b2c3d4e5f6"),
    (
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{A}.scope",
        "container:a1b2c3d4e5f6",
    ),
    ("/system.slice/docker.service", "unit:docker.service"),
    ("/system.slice/docker-registry.scope", "unit:docker-registry.scope"),
    (f"/machine.slice/libpod-{A}.scope", "container:a1b2c3d4e5f6"),
    (f"/machine.slice/libpod-{A}.scope/container", "container:a1b2c3d4e5f6"),
    (f"/machine.slice/libpod-conmon-{A}.scope", f"unit:libpod-conmon-{A}.scope"),
    (
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope/container",
        "container:a1b2c3d4e5f6",
    ),
    (f"/default/{A}", "container:a1b2c3d4e5f6"),
    (f"/system.slice/nerdctl-{A}.scope", "container:a1b2c3d4e5f6"),
    (f"/ecs/0123456789abcdef0123456789abcdef/{A}", "container:a1b2c3d4e5f6"),
    # Kubernetes
    (f"/kubepods/burstable/pod{UID}/{A}", f"pod:{UID}/container:a1b2c3d4e5f6"),
    (f"/kubepods/pod{UID}/{A}", f"pod:{UID}/container:a1b2c3d4e5f6"),
    (f"/kubepods/besteffort/pod{STATIC}/{A}", f"pod:{STATIC}/container:a1b2c3d4e5f6"),
    (f"{SLICES}/kubepods-burstable-pod{UID_}.slice", f"pod:{UID}"),
    (
        f"{SLICES}/kubepods-burstable-pod{UID_}.slice/cri-containerd-{A}.scope",
        f"pod:{UID}/container:a1b2c3d4e5f6",
    ),
    (
        f"/kubepods.slice/kubepods-pod{UID_}.slice/crio-{A}.scope/container",
        f"pod:{UID}/container:a1b2c3d4e5f6",
    ),
    (
        f"{SLICES}/kubepods-burstable-pod{UID_}.slice/crio-conmon-{A}.scope",
        f"pod:{UID}/unit:crio-conmon-{A}.scope",
    ),
    (
        f"/system.slice/containerd.service/kubepods-burstable-pod{UID_}.slice:cri-containerd:{A}",
        f"pod:{UID}/container:a1b2c3d4e5f6",
    ),
    # LXC, nspawn
    ("/lxc.payload.web", "container:web"),
    ("/lxc.payload.web/system.slice/nginx.service", "container:web/unit:nginx.service"),
    ("/lxc/101/ns/system.slice/cron.service", "container:101/unit:cron.service"),
    ("/lxc.monitor.web", ""),
    (
        "/machine.slice/systemd-nspawn@deb.service/payload/system.slice/x.service",
        "container:deb/unit:x.service",
    ),
    # nested
    (f"/docker/{A}/docker/{B}", "container:b0b1b2b3b4b5"),
    (f"/system.slice/docker-{A}.scope/system.slice/cron.service", "container:a1b2c3d4e5f6/unit:cron.service"),
    (
        f"/docker/{A}/kubelet.slice/kubelet-pods.slice/kubelet-pods-pod{UID_}.slice/cri-containerd-{B}.scope",
        f"pod:{UID}/container:b0b1b2b3b4b5",
    ),
    (f"/kubepods/burstable/pod{UID}/{A}/docker/{B}", f"pod:{UID}/container:b0b1b2b3b4b5"),
    # what only looks like one of them
    (f"/docker/{A[:-1]}", ""),
    (f"/docker/{A[:-1]}g", ""),
    ("/kubepods/podwithout-a-uid", ""),
    ("/a.slice/notaservice", ""),
    ("/system.slice/.service", ""),
]


@pytest.mark.parametrize(("path", "label"), PATHS, ids=[path for path, _ in PATHS])
def test_a_path_tells_what_the_cgroup_is_for(path: str, label: str) -> None:
    assert label_of(path) == label


NAMES = st.one_of(
    st.sampled_from([name for path, _ in PATHS for name in path.split("/")]),
    st.binary(min_size=1, max_size=255).map(os.fsdecode),
    st.text(min_size=200, max_size=255).map(lambda text: f"{text}.service"),
    st.text(min_size=200, max_size=255).map(lambda text: f"lxc.payload.{text}"),
)


@given(st.lists(NAMES, max_size=8))
def test_any_path_gives_a_label_that_a_record_can_hold(names: list[str]) -> None:
    label = label_of("/" + "/".join(names))
    assert len(label) <= MAX_LENGTH
    label.encode("utf-8")
    parts = label.split("/") if label else []
    kinds = [part.split(":", 1)[0] for part in parts]
    assert len(label) == MAX_LENGTH or kinds == [
        kind for kind in ("user", "pod", "container", "unit") if kind in kinds
    ]


def test_names_that_are_no_text_or_too_long_still_give_a_label() -> None:
    """A record with anything else would be set aside as poison, with all its events."""
    assert label_of("/" + os.fsdecode(b"caf\xe9.service")) == "unit:caf\ufffd.service"
    long = label_of("/lxc.payload." + "c" * 240 + "/" + "u" * 300 + ".service")
    assert len(long) == MAX_LENGTH
    assert long.startswith("container:ccc")
