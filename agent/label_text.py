# SPDX-License-Identifier: Apache-2.0
"""A cgroup's path as a label: the unit, container or pod that it was made for. Pure.

A label is some of the parts ``user:UID``, ``pod:UID``, ``container:ID`` and ``unit:NAME`` in this order,
joined by ``/``; it is empty where the path tells none of them. ID is the first twelve hexadecimal digits, or
the name of a container that has no number (LXC, systemd-nspawn). Of nested containers it is the innermost,
with the pod that it is in. No part has a ``/`` in it, and its first ``:`` ends the kind.
"""

import re

MAX_LENGTH = 512
"""Of ``schemas.batch.Process.label``."""
_HEX = r"(?P<id>[0-9a-f]{64})"
_POD = r"(?P<pod>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})"
_USER = re.compile(r"user(?:-(?P<slice>\d+)\.slice|@(?P<service>\d+)\.service)")
_PODS = re.compile(rf"(?:.*-)?pod{_POD}(?:\.slice)?")
_CONTAINERS = (
    # By the cgroupfs driver: /docker/ID, /kubepods/burstable/podUID/ID; by systemd's: docker-ID.scope,
    # cri-containerd-ID.scope, crio-…, libpod-…; and where systemd's paths are given to the other.
    re.compile(_HEX),
    re.compile(rf"(?!(?:.*-)?conmon-).*-{_HEX}\.scope"),
    re.compile(rf"(?:.*-)?pod{_POD}\.slice:[^:]+:{_HEX}"),
    re.compile(r"lxc\.payload\.(?P<id>.+)"),
    re.compile(r"systemd-nspawn@(?P<id>.+)\.service"),
)
_NAMED_BELOW = {"lxc", "lxc.payload"}
"""Folders whose folders are containers: /lxc/NAME, as older LXC has them."""
_UNIT = re.compile(r".+\.(?:service|scope|socket|mount|swap)")
_ID_DIGITS = 12
_ORDER = ("user", "pod", "container", "unit")


def label_of(path: str) -> str:
    """Return the label of the cgroup at a path such as ``/system.slice/nginx.service``."""
    found: dict[str, str] = {}
    above = ""
    for name in path.split("/"):
        found = _deeper(found, name, above)
        above = name
    return "/".join(f"{kind}:{_readable(found[kind])}" for kind in _ORDER if kind in found)[:MAX_LENGTH]


def _deeper(found: dict[str, str], name: str, above: str) -> dict[str, str]:
    """Return what is known one folder further down."""
    if user := _USER.fullmatch(name):
        return {"user": user["slice"] or user["service"]}
    if pod := _PODS.fullmatch(name):
        return _pod(pod["pod"])
    for shape in _CONTAINERS:
        if container := shape.fullmatch(name):
            own = container.groupdict()
            return {**_pod(own.get("pod") or found.get("pod")), "container": _short(own["id"])}
    if above in _NAMED_BELOW:
        return {**_pod(found.get("pod")), "container": name}
    if _UNIT.fullmatch(name):
        return {**found, "unit": name}
    return found


def _pod(uid: str | None) -> dict[str, str]:
    return {"pod": uid.replace("_", "-")} if uid else {}


def _short(number: str) -> str:
    return number[:_ID_DIGITS] if re.fullmatch(_HEX, number) else number


def _readable(name: str) -> str:
    """Return a folder's name as text that can be encoded, whatever bytes it has."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
